"""One HTML page from runs that exist; imports no TensorFlow."""
