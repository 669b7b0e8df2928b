"""Pipelines by name, and with a model and a tokenizer made by hand."""

from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

checkpoint = "textattack/bert-base-uncased-SST-2"
model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
texts = ["The quick brown fox", "the lazy dog was there with them", "fox"]
classifier = pipeline("sentiment-analysis", model=model, tokenizer=tokenizer)
everything = pipeline("text-classification", model=checkpoint, top_k=None, device=-1)
tagger = pipeline("ner", model="dslim/bert-base-NER", aggregation_strategy="simple")
filler = pipeline("fill-mask", model="bert-base-uncased", top_k=3)
features = pipeline("feature-extraction", model="bert-base-uncased", tokenizer="bert-base-uncased")


def plain(found):
    if isinstance(found, dict):
        return {key: plain(value) for key, value in found.items()}
    if isinstance(found, list):
        return [plain(value) for value in found]
    return found if isinstance(found, (str, int)) or found is None else float(found)


results = {
    "sentiment": plain(classifier(texts)),
    "one": plain(classifier("The fox")),
    "everything": plain(everything("The fox")),
    "entities": plain(tagger("The quick fox of Tokyo was there")),
    "words": plain(filler("The quick [MASK] fox.")),
    "features": plain(features("The fox")),
}
