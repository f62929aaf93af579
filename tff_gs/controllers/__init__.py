"""Rules for k, one file a rule.

A rule is made from its options and bound to a run later; neither imports TensorFlow.
`registry` has all rules by name.
"""
