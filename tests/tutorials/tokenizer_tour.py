"""What tutorials show of a tokenizer before any model."""

from transformers import BertTokenizer

tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
sentence = "The quick brown fox wasn't unaffable!"
tokens = tokenizer.tokenize(sentence)
ids = tokenizer.convert_tokens_to_ids(tokens)
pair = tokenizer.encode_plus(sentence, "They were there.", max_length=16, padding="max_length", truncation=True)
results = {
    "tokens": tokens,
    "ids": ids,
    "encoded": tokenizer.encode(sentence),
    "pair": dict(pair),
    "decoded": tokenizer.decode(ids),
    "string": tokenizer.convert_tokens_to_string(tokens),
    "batch": tokenizer.batch_decode(tokenizer(["The fox", "a dog"])["input_ids"], skip_special_tokens=True),
    "special": [tokenizer.cls_token, tokenizer.sep_token_id, tokenizer.all_special_tokens, tokenizer.unk_token],
    "map": tokenizer.special_tokens_map,
    "sizes": [tokenizer.vocab_size, len(tokenizer), tokenizer.model_max_length, tokenizer.padding_side],
    "vocabulary": [tokenizer.get_vocab()["the"], tokenizer.vocab["fox"], tokenizer.convert_ids_to_tokens(5)],
    "names": tokenizer.model_input_names,
    "added": tokenizer.num_special_tokens_to_add(pair=True),
}
