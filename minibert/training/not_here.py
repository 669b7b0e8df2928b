"""What code written for `transformers.Trainer` may ask for and this one has not: refused by name, with the reason.

Nothing that is asked for is passed over in silence: an argument works, or asks for what is so anyway, or is refused;
and what nothing would ever call cannot be overridden.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)

# Arguments of the reference, of all its versions, that have no field in our `TrainingArguments`. By the reason: values
# that ask for nothing else than what is so anyway, the default first, and the names that they are accepted for.
REFUSED_ARGUMENTS: dict[str, list[tuple[list, str]]] = {
    "nothing is uploaded here: call save_model, then huggingface_hub's HfApi().upload_folder": [
        ([False], "push_to_hub hub_always_push"),
        ([None], "hub_model_id hub_revision hub_token"),
        ([None], "push_to_hub_model_id push_to_hub_organization push_to_hub_token"),
        ([None, False], "hub_private_repo"),
        (["every_save"], "hub_strategy"),
    ],
    "a BERT is small enough to be whole in every process, and torchrun says which processes there are": [
        ([None, "", False, []], "fsdp sharded_ddp"),
        ([None], "fsdp_config fsdp_transformer_layer_cls_to_wrap deepspeed parallelism_config accelerator_config"),
        ([None], "ddp_backend ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph dispatch_batches"),
        ([None, False], "split_batches"),
        ([0], "fsdp_min_num_params"),
        ([1800], "ddp_timeout"),
        ([""], "mp_parameters"),
    ],
    "runs are on CUDA's GPUs or on CPUs": [
        ([False], "use_mps_device use_ipex tpu_metrics_debug"),
        ([None], "tpu_num_cores xpu_backend"),
    ],
    "torch_compile=True is what there is": [
        ([False], "jit_mode_eval use_liger_kernel"),
        ([None], "torchdynamo liger_kernel_config"),
    ],
    "bf16=True or fp16=True, in training and evaluation alike, is what there is": [
        ([False], "bf16_full_eval fp16_full_eval"),
        (["auto"], "half_precision_backend fp16_backend"),
        (["O1"], "fp16_opt_level"),
    ],
    "pass optimizers=(optimizer, scheduler) to the Trainer, or override create_optimizer": [
        ([None], "optim_args optim_target_modules"),
        ([None, {}], "lr_scheduler_kwargs"),
        ([False], "adafactor"),
    ],
    "override get_train_dataloader": [
        ([None], "dataloader_multiprocessing_context dataloader_prefetch_factor"),
        ([True], "dataloader_in_order"),
    ],
    "every example is seen, and a last step of fewer counts as what it is": [([False], "dataloader_drop_last")],
    "workers that live on would not hear of the data set's new epoch": [([False], "dataloader_persistent_workers")],
    "gradient_checkpointing=True is its name here, and it has no options": [
        ([None, False], "activation_checkpointing"),
        ([None, {"use_reentrant": False}], "gradient_checkpointing_kwargs activation_checkpointing_kwargs"),
    ],
    "compute_metrics gets the predictions and labels of the whole evaluation set, and nothing else": [
        ([False], "batch_eval_metrics include_inputs_for_metrics eval_use_gather_object"),
        ([[], ()], "include_for_metrics"),
        ([True], "eval_do_concat_batches"),
    ],
    "write a TrainerCallback for it": [
        ([0], "eval_delay"),
        ([False], "eval_on_start"),
        ([None], "torch_empty_cache_steps neftune_noise_alpha"),
        ([None], "trackio_bucket_id trackio_space_id trackio_static_space_id"),
        (["huggingface"], "project"),
    ],
    "pass compute_loss_func with F.cross_entropy(..., label_smoothing=...) to the Trainer": [
        ([0.0], "label_smoothing_factor"),
    ],
    "a checkpoint is what a run goes on from; save_model writes the model alone": [([False], "save_only_model")],
    "weights are never written as pickles": [([True], "save_safetensors")],
    "the first process saves, and Ctrl-C makes it do so": [([False], "save_on_each_node enable_jit_checkpoint")],
    "a resumed run sees each example as often as one that was never interrupted": [([False], "ignore_data_skip")],
    "a callback that must know more after a resume than state.log_history says keeps it itself": [
        ([False], "restore_callback_states_from_checkpoint"),
    ],
    "the loss is a mean over the labels of all processes": [([True], "average_tokens_across_devices")],
    "state.num_input_tokens_seen counts the real tokens, and tokens_per_second is logged": [
        (["no", False], "include_num_input_tokens_seen"),
        ([False], "include_tokens_per_second"),
    ],
    "call set_seed(seed, deterministic=True)": [([False], "full_determinism")],
    "a run that is out of memory says so; choose a smaller batch": [([False], "auto_find_batch_size")],
    "PyTorch has tools for it: torch.autograd.detect_anomaly, torch.cuda.memory_stats": [
        (["", []], "debug"),
        ([True], "skip_memory_metrics"),
    ],
    "BERT has no past to keep": [([-1], "past_index"), ([False], "use_cache")],
    "there is one evaluation loop": [([False], "use_legacy_prediction_loop")],
    "there is no search for hyperparameters": [(["last"], "ray_scope")],
    "per_device_train_batch_size and per_device_eval_batch_size are the names": [
        ([None], "per_gpu_train_batch_size per_gpu_eval_batch_size"),
    ],
}

# These decide nothing about a run: programs around it read them, or they are hints that are not needed.
WITHOUT_EFFECT: dict[str, Any] = {
    "do_eval": False,
    "do_predict": False,
    "do_train": False,
    "eval_accumulation_steps": None,  # predictions leave the GPU after every batch
    "length_column_name": "length",  # lengths are those of input_ids
    "local_rank": -1,
    "log_level_replica": "warning",  # the first process alone talks
    "log_on_each_node": True,
    "logging_nan_inf_filter": True,  # a loss that is no number ends the run
    "overwrite_output_dir": False,
    "run_name": None,
}

# What a subclass may define that nothing here would ever call, by what to do instead.
NEVER_CALLED: dict[str, str] = {
    "override get_train_dataloader, get_eval_dataloader or get_test_dataloader": """
        _get_dataloader _get_train_sampler _get_eval_sampler num_examples num_tokens get_batch_samples
        _get_num_items_in_batch get_total_train_batch_size _update_auto_batch_size""",
    "choose the columns in a data_collator, with remove_unused_columns=False": """
        _set_signature_columns_if_needed _remove_unused_columns _get_collator_with_removed_columns""",
    "override create_optimizer, create_scheduler or create_optimizer_and_scheduler": """
        get_optimizer_cls_and_kwargs get_decay_parameter_names get_optimizer_group get_learning_rates
        get_num_trainable_parameters _get_learning_rate _clip_grad_norm _get_grad_norm _has_mixed_mesh_grads
        _mixed_mesh_grad_norm""",
    "override training_step or compute_loss, or write a TrainerCallback": """
        _inner_training_loop _init_training_state _prepare_for_training _run_epoch _finalize_training
        _maybe_log_save_evaluate set_initial_training_values _prepare_input _prepare_inputs
        _prepare_context_parallel_inputs _track_num_input_tokens compute_loss_context_manager
        autocast_smart_context_manager label_smoother _validate_args _issue_warnings_after_load""",
    "override prediction_step or evaluate": """
        evaluation_loop prediction_loop _evaluate _nested_gather _pad_across_processes _gather_and_numpify""",
    "give the model a save_pretrained of its own, which checkpoints and save_model call": """
        save_model _save _save_checkpoint _get_output_dir _move_model_to_device""",
    "a checkpoint holds all that a run depends on; write a TrainerCallback with on_save for more": """
        _save_rng_state _save_optimizer_and_scheduler _save_scaler _load_from_checkpoint _load_best_model
        _load_rng_state _load_optimizer_and_scheduler _load_scaler _load_callback_state _determine_best_metric""",
    "no accelerate is behind the loop: call loss.backward(), and return a DataLoader as it is": "accelerator",
    "no other library is behind the loop": """
        _build_accelerator_args create_accelerator_and_postprocess get_sp_size get_cp_size get_tp_size
        _defer_fsdp_gradient_reduction _sync_replicated_trainable_parameters _wrap_model ipex_optimize_model
        torch_jit_model_eval store_flos floating_point_ops""",
    "nothing is uploaded here: call save_model, then huggingface_hub's HfApi().upload_folder": """
        init_hf_repo init_git_repo create_model_card push_to_hub _push_from_checkpoint _finish_current_push end""",
    "there is no search for hyperparameters; call train in a loop of your own": """
        hyperparameter_search call_model_init _hp_search_setup _report_to_hp_search _tune_save_checkpoint""",
    "pass it to the Trainer as an argument": """
        compute_metrics preprocess_logits_for_metrics compute_loss_func model_init data_collator callbacks optimizers
        train_dataset eval_dataset processing_class""",
    "call add_callback, pop_callback or remove_callback": "callback_handler",
    "override log_metrics": "metrics_format",
}

_ARGUMENTS = {
    name: (accepted, reason)
    for reason, rows in REFUSED_ARGUMENTS.items()
    for accepted, names in rows
    for name in names.split()
}
_METHODS = {name: instead for instead, names in NEVER_CALLED.items() for name in names.split()}


def takes_what_asks_for_nothing(cls: Class) -> Class:
    """Let a dataclass take arguments that it has no field for, where they ask for nothing else than what is so anyway.

    They can be read as attributes, too. Others raise a `ValueError` that says why they are not here.
    """
    own_init: Any = cls.__init__  # type: ignore[misc]
    own_setattr: Any = cls.__setattr__

    @functools.wraps(own_init)
    def __init__(self: Any, *values: Any, **named: Any) -> None:
        others = {name: named.pop(name) for name in tuple(named) if name in _ARGUMENTS or name in WITHOUT_EFFECT}
        own_init(self, *values, **named)
        for name, value in others.items():
            setattr(self, name, value)

    def __setattr__(self: Any, name: str, value: Any) -> None:
        accepted, why = _ARGUMENTS.get(name, ((value,), ""))
        if value not in accepted:
            raise ValueError(f"{name}={value!r} is not supported, only {accepted[0]!r}: {why}")
        own_setattr(self, name, value)

    def __getattr__(self: Any, name: str) -> Any:
        if name in _ARGUMENTS:
            return _ARGUMENTS[name][0][0]
        if name in WITHOUT_EFFECT:
            return WITHOUT_EFFECT[name]
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    for method in (__init__, __setattr__, __getattr__):
        setattr(cls, method.__name__, method)
    return cls


def check_overrides(cls: Any, base: type) -> None:
    """Raise `TypeError`, naming the method, if a subclass of `base` overrides what `base` never calls."""
    for parent in cls.__mro__[: cls.__mro__.index(base)]:
        for name in vars(parent):
            if name in _METHODS:
                raise TypeError(f"{parent.__name__}.{name} would never be called: {_METHODS[name]}")
            if name.startswith("_") and not name.startswith("__") and hasattr(base, name):
                raise TypeError(f"{parent.__name__}.{name} would replace a part of the loop; choose another name")
    try:
        inspect.signature(cls.compute_loss).bind(None, None, {}, return_outputs=True)
    except TypeError:
        raise TypeError(
            f"{cls.__name__}.compute_loss must take (model, inputs, return_outputs=False): evaluation wants the outputs"
        ) from None


def why_not_here(cls: type, name: str) -> str:
    """What an `AttributeError` says about a method that is not here."""
    reason = f": {_METHODS[name]}" if name in _METHODS else ""
    return f"{cls.__name__} has no {name!r}{reason}"


def call_known(function: Callable, *values: Any, **newer: Any) -> Any:
    """Call an override; one from an older tutorial goes without the arguments that it does not know."""
    known: Mapping[str, inspect.Parameter] = inspect.signature(function).parameters
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())
    return function(*values, **{name: value for name, value in newer.items() if takes_all or name in known})
