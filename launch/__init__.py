"""Programs. Importing this package, or any module of it, imports no TensorFlow."""
