"""Rules for k, one file a rule.

Importing this package imports no TensorFlow: `names` and `options` are for flags,
`registry` builds a rule by its name.
"""
