"""Names of the codes and of the reasons for refusals; imports no TensorFlow."""

#: What `--..._index` flags may say, each with one line of help.
INDEX_NAMES: dict[str, str] = {
    "int32": "32 bits an index",
    "bitmap": "one bit for every coordinate of the model",
    "fixed": "ceil(log2 D) bits an index",
    "rice": "Rice/Golomb-coded gaps, one parameter a message",
    "rice_per_tensor": "Rice/Golomb-coded gaps, a parameter for each tensor",
    "auto": "the smallest of bitmap, fixed, rice (and rice_per_tensor) a message; no "
    "bits where the indices are 0 to n - 1",
}

#: The code of messages whose indices both ends know. No flag may say it: it comes
#: with the methods whose messages are such, in place of what the flag says.
NO_INDICES = "leading"

#: What `--..._value` flags may say, each with one line of help.
VALUE_NAMES: dict[str, str] = {
    "float32": "32 bits a value, exact",
    "bfloat16": "16 bits a value, 8 of them precision",
    "float16": "16 bits a value, 11 of them precision, saturating at 65504",
    **{
        f"quantised{bits}": f"uniform stochastic quantisation to {bits} bits, unbiased"
        for bits in range(1, 9)
    },
    "ternary": "the sign, with the mean magnitude of the message",
}

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
