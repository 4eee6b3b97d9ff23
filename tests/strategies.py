"""What Hypothesis draws in the tests of more than one protocol."""

from hypothesis import strategies as st

NAMES = st.from_regex(r"\A[a-zA-Z0-9_-]{1,20}\Z")
TEXTS = st.text(max_size=40)
TOKENS = st.integers(0, 9999)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
