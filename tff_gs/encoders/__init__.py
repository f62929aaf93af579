"""Sparse messages: what an index-value list looks like as bytes, and back.

Import what is needed from the modules: `names` and `encoder` (no TensorFlow), `codec`
(the interface), `message_encoder`, `entropy`, and `tensor_encoding_stage`.
docs/wire_format.md describes the bytes.
"""
