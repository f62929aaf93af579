"""Reasons for refusals, and their numbers; imports no TensorFlow."""

#: Why a decoder refuses a message; position is the error number, 0 is none.
ERRORS: tuple[str, ...] = (
    "accepted",
    "wrong_length",
    "bad_checksum",
    "unknown_version",
    "dimension_mismatch",
    "unknown_code",
    "too_many_entries",
    "index_out_of_range",
    "unsorted_indices",
    "malformed_indices",
    "non_finite_value",
)

(
    ACCEPTED,
    WRONG_LENGTH,
    BAD_CHECKSUM,
    UNKNOWN_VERSION,
    DIMENSION_MISMATCH,
    UNKNOWN_CODE,
    TOO_MANY_ENTRIES,
    INDEX_OUT_OF_RANGE,
    UNSORTED_INDICES,
    MALFORMED_INDICES,
    NON_FINITE_VALUE,
) = range(len(ERRORS))

#: Why the server of an exchange refuses one: what the decoder finds in the entries,
#: and what is said beside them.
REFUSALS: tuple[str, ...] = (
    *ERRORS,
    "unknown_client",
    "repeated_client",
    "invalid_weight",
    "norm_too_large",
)

UNKNOWN_CLIENT, REPEATED_CLIENT, INVALID_WEIGHT, NORM_TOO_LARGE = range(
    len(ERRORS), len(REFUSALS)
)
