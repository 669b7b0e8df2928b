"""Training in float16, on a CPU, where nobody but these tests wants it."""

import torch
from toy_training import Toy, trainer_of, weights


def half(folder, resume=None, explode_at=None, **changes):
    class Exploding(Toy):
        def forward(self, x, labels):
            outputs = super().forward(x, labels)
            dtypes.add(outputs["logits"].dtype)
            if trainer.clock.step == explode_at:
                outputs["loss"] = outputs["loss"] * 1e38
            return outputs

    dtypes = set()
    numbers = {"per_device_train_batch_size": 5, "lr_scheduler_type": "constant"}
    changes = numbers | {"save_strategy": "steps", "save_steps": 2} | changes
    trainer = trainer_of("minibert", folder, model=Exploding(), changes=changes)
    trainer.args.fp16 = True  # the arguments refuse it where there is no GPU
    trainer.train(resume)
    assert dtypes == {torch.float16}
    return trainer


def test_float16_learns_as_float32_does(tmp_path):
    low = half(tmp_path / "half")
    changes = {"per_device_train_batch_size": 5, "lr_scheduler_type": "constant"}
    full = trainer_of("minibert", tmp_path / "full", changes=changes)
    full.train()
    torch.testing.assert_close(weights(low), weights(full), rtol=0.02, atol=5e-3)
    assert {p.dtype for p in low.model.parameters()} == {torch.float32}


def test_a_step_that_is_too_large_for_float16_is_left_out(tmp_path):
    before, after = half(tmp_path / "before", max_steps=3), half(tmp_path / "after", max_steps=4, explode_at=3)
    assert torch.equal(weights(before), weights(after))
    assert after.scaler.get_scale() == before.scaler.get_scale() / 2


def test_float16_goes_on_after_a_resume(tmp_path):
    whole = half(tmp_path / "whole", explode_at=1)
    rest = half(tmp_path / "rest", tmp_path / "whole" / "checkpoint-2")
    assert torch.equal(weights(whole), weights(rest))
    assert rest.scaler.get_scale() == whole.scaler.get_scale() == 2.0**15
