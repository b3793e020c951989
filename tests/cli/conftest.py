import pytest
from cli_runs import write_files


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A temporary current folder with small data in it."""
    monkeypatch.chdir(tmp_path)
    write_files()
    return tmp_path
