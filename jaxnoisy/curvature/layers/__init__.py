"""The dense and convolutional layers of any model, found in its program, with what goes through them captured."""
