"""What a simulated model writes from documents: each passage is what stands there, and each token counts."""

import random

from hypothesis import given
from hypothesis import strategies as st

from workbench.events import CitationDelta, TextDelta, split_tokens
from workbench.messages import Completion, Document, Message, Request
from workbench.simulator.prose import write
from workbench.tokens import count

TEXTS = st.text() | st.lists(
    st.sampled_from(["Jitter helps.", "Why?", "一、二。", "1 2", "\n", " ", "(a) b!", "é"])
).map(" ".join)
DOCUMENTS = st.builds(Document, text=TEXTS, title=st.none() | st.text(), citations=st.booleans())


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Requests that bring documents along, some of them in a tool's result."""
    documents = tuple(draw(st.lists(DOCUMENTS, max_size=4)))
    user = Message(role="user", content=draw(TEXTS), documents=documents[:2])
    tool = Message(role="tool", content=draw(TEXTS), documents=documents[2:], tool_call_id="a")
    return Request(model="m", messages=(user, tool) if documents[2:] else (user,))


@given(requests(), st.integers(1, 200), st.integers())
def test_citations_are_passages_of_both_texts(request: Request, length: int, seed: int) -> None:
    """A citation names a part of the answer that is, but for the space before it, a part of its document."""
    prose = write(request, random.Random(seed), length)
    documents = [document for message in request.messages for document in message.documents]
    end = 0
    for citation in prose.citations:
        document = documents[citation.document]
        assert document.citations
        assert citation.title == document.title
        assert document.text.startswith(citation.cited_text, citation.source_start)
        assert prose.text[citation.start : citation.end].removeprefix(" ") == citation.cited_text
        assert end <= citation.start
        end = citation.end


@given(requests(), st.integers(1, 200), st.integers())
def test_passages_do_not_change_the_tokens(request: Request, length: int, seed: int) -> None:
    """Cut where citations begin and end, the text has as many tokens as it has uncut, and as it says."""
    prose = write(request, random.Random(seed), length)
    completion = Completion(id="1", model="m", text=prose.text, citations=prose.citations)
    _, *events, _ = split_tokens(completion)
    tokens = [event for event in events if not isinstance(event, CitationDelta)]
    assert "".join(event.text for event in tokens if isinstance(event, TextDelta)) == prose.text
    assert len(tokens) == prose.tokens == count(prose.text)
    assert tuple(event.citation for event in events if isinstance(event, CitationDelta)) == prose.citations


def test_a_document_answers() -> None:
    """A sentence of a document that shares words with the question comes before what the model knows."""
    document = Document(text="Sloths sleep. Zebras of Zürich have stripes.", citations=True)
    question = Message(role="user", content="What do the zebras have?", documents=(document,))
    prose = write(Request(model="m", messages=(question,)), random.Random(1), 30)
    assert prose.text.startswith("Zebras of Zürich have stripes.")
    assert prose.citations[0].source_start == document.text.index("Zebras")
