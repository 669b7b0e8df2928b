"""A task of one's own on `BertPreTrainedModel`: multi-sample dropout over the mean of the tokens, saved and loaded."""

import torch
from torch import nn
from transformers import BertConfig, BertModel, BertPreTrainedModel, BertTokenizer


class BertForMeanClassification(BertPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config, add_pooling_layer=False)
        self.intermediate = nn.Linear(config.hidden_size, 8)
        self.norm = nn.LayerNorm(8)
        self.classifier = nn.Linear(8, config.num_labels)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, labels=None):
        outputs = self.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        mask = attention_mask.unsqueeze(-1).to(outputs.last_hidden_state.dtype)
        mean = (outputs.last_hidden_state * mask).sum(1) / mask.sum(1)
        logits = self.classifier(self.norm(torch.relu(self.intermediate(mean))))
        loss = None if labels is None else nn.functional.cross_entropy(logits.view(-1, self.num_labels), labels)
        return (loss, logits)


config = BertConfig.from_pretrained("bert-base-uncased", num_labels=4)
model = BertForMeanClassification.from_pretrained("bert-base-uncased", config=config)
spread = model.intermediate.weight.std().item()
assert 0.5 * config.initializer_range < spread < 1.5 * config.initializer_range, "post_init draws the new weights"
torch.manual_seed(2)
for part in (model.intermediate, model.classifier):
    nn.init.normal_(part.weight)
    nn.init.zeros_(part.bias)
nn.init.ones_(model.norm.weight)
nn.init.zeros_(model.norm.bias)
tokenizer = BertTokenizer.from_pretrained("bert-base-uncased")
batch = tokenizer(["The fox", "They were there with the dog"], padding=True, return_tensors="pt")
loss, logits = model(**batch, labels=torch.tensor([3, 1]))
loss.backward()
model.save_pretrained("mean-classifier")
again = BertForMeanClassification.from_pretrained("mean-classifier")
results = {
    "loss": loss.item(),
    "logits": logits.detach(),
    "loaded": again(**batch)[1].detach(),
    "labels": again.config.num_labels,
    "gradient": model.intermediate.weight.grad,
}
