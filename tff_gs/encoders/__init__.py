"""Sparse messages: what an index-value list looks like as bytes, and back.

Import what is needed from the modules: `names` (no TensorFlow), `encoder` (the
interface), `message_encoder` (`build_encoder`), `entropy`, and
`tensor_encoding_stage`. docs/wire_format.md describes the bytes.
"""
