"""What requests and answers look like, in JSON. `/docs` and the OpenAPI description are made from this.

`/v1/embeddings` has the form of OpenAI's; `/embed` and `/predict` that of text-embeddings-inference; the others that of
the Hugging Face Hub, so that `huggingface_hub.InferenceClient` can ask them. A field that is not here is refused by
name: an option that is accepted and does nothing would be worse.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Texts = Annotated[list[str], Field(min_length=1)]
OneOrTwo = Annotated[list[str], Field(min_length=1, max_length=2)]


class Form(BaseModel):
    """Takes what it says, of the type that it says."""

    model_config = ConfigDict(extra="forbid", strict=True)


TRUNCATE = Field(default=False, description="cut a text that is longer than the model reads; false: refuse it")


class EmbeddingsRequest(Form):
    """As `POST /v1/embeddings` of OpenAI; `truncate` is an addition."""

    input: str | Texts = Field(description="a text, or a list of them; lists of token ids are not taken")
    model: str | None = Field(default=None, description="the name of the model that is served here, or nothing")
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="base64: of 32 bit floats, little-endian"
    )
    dimensions: int | None = Field(default=None, description="only what the model's vectors have")
    user: str | None = Field(default=None, description="not used, and not kept")
    truncate: bool = TRUNCATE


class Embedding(BaseModel):
    """The vector of one text."""

    object: Literal["embedding"] = "embedding"
    index: int = Field(description="which of the texts, from 0")
    embedding: list[float] | str


class Usage(BaseModel):
    """How many tokens were computed, [CLS] and [SEP] included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(BaseModel):
    """The vectors, in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class EmbedRequest(Form):
    """As `POST /embed` of text-embeddings-inference."""

    inputs: str | Texts
    truncate: bool | None = TRUNCATE
    normalize: bool = Field(default=True, description="scale to length 1; false: leave out the last scaling")


class Score(BaseModel):
    """A class and its score; the number that a regression gives is a score, too."""

    label: str
    score: float


class PredictParameters(Form):
    """As the Hub has them."""

    top_k: int | None = Field(default=None, ge=1, description="how many classes, the best first; default: all")
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None


class PredictRequest(Form):
    """As `POST /predict` of text-embeddings-inference: a text, [a text] or [a text, its pair], or a list of such."""

    inputs: str | OneOrTwo | Annotated[list[OneOrTwo], Field(min_length=1)]
    truncate: bool | None = TRUNCATE
    raw_scores: bool = Field(default=False, description="logits in the place of probabilities")
    parameters: PredictParameters = PredictParameters()


class FillMaskParameters(Form):
    """As the Hub has them."""

    top_k: int = Field(default=5, ge=1, le=100)
    targets: Texts | None = Field(default=None, description="only these words")


class FillMaskRequest(Form):
    """Texts with a mask in each."""

    inputs: str | Texts
    parameters: FillMaskParameters = FillMaskParameters()


class Candidate(BaseModel):
    """A token in the place of a mask."""

    score: float
    token: int
    token_str: str
    sequence: str


class TokenClassificationParameters(Form):
    """As the Hub has them."""

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "simple"
    ignore_labels: list[str] = ["O"]
    stride: int | None = Field(default=None, description="how many tokens two windows of a long text share")


class TokenClassificationRequest(Form):
    """Texts of any length."""

    inputs: str | Texts
    parameters: TokenClassificationParameters = TokenClassificationParameters()


class Tag(BaseModel):
    """A token (`entity`, `index`) or a group of them (`entity_group`)."""

    entity: str | None = None
    entity_group: str | None = None
    score: float
    index: int | None = None
    word: str
    start: int
    end: int


class QuestionAnsweringParameters(Form):
    """As the Hub has them."""

    top_k: int = Field(default=1, ge=1, le=100, description="above 1, the answer is a list")
    max_answer_len: int = Field(default=15, ge=1)
    max_seq_len: int = Field(default=384, ge=1)
    doc_stride: int = Field(default=128, ge=0)
    handle_impossible_answer: bool = False
    align_to_words: bool = True


class Question(Form):
    """What is asked, and the text, of any length, in which the answer stands."""

    question: str
    context: str


class QuestionAnsweringRequest(Form):
    """One question, or many."""

    inputs: Question | Annotated[list[Question], Field(min_length=1)]
    parameters: QuestionAnsweringParameters = QuestionAnsweringParameters()


class AnswerSpan(BaseModel):
    """`context[start:end]` is the answer."""

    score: float
    start: int
    end: int
    answer: str


class Info(BaseModel):
    """What is served, and within which limits."""

    model_id: str
    model_type: str = Field(description="the class of the model")
    tasks: list[str]
    model_dtype: str = Field(description="what the encoder's layers are computed in")
    device: str
    dimensions: int = Field(description="numbers of a vector")
    max_input_length: int = Field(description="tokens of a text that are read at once")
    max_batch_tokens: int
    max_client_batch_size: int = Field(description="texts in a request")
    max_waiting_tokens: int
    max_body_bytes: int
    seconds: float
    version: str


class Problem(BaseModel):
    """What is wrong, in plain words."""

    error: str
    error_type: str
