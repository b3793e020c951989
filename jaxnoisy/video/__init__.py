"""Mislabeled video clips: two streams, scored apart, and what both find suspicious."""

from jaxnoisy.video.detect import ClipFindings, detect_clips, influential_clips, refuse_clips
from jaxnoisy.video.scores import clip_scores
from jaxnoisy.video.streams import for_stream, predict_clips, streams, train_streams

__all__ = [
    "ClipFindings",
    "clip_scores",
    "detect_clips",
    "for_stream",
    "influential_clips",
    "predict_clips",
    "refuse_clips",
    "streams",
    "train_streams",
]
