"""Networks from files and to files, under the names and with the arguments of the reference."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from model.config import WhisperConfig
from model.config_rules import as_dtype
from model.errors import ModelError
from model.files import weights
from model.files.hub import resolve
from model.files.saving import save_weights
from model.files.stored import StoredTensor
from model.generation_config import FILE, GenerationConfig
from model.networks import loading
from model.networks.base import HEAD, NetworkBase

WITHOUT_EFFECT = frozenset({"low_cpu_mem_usage", "weights_only", "trust_remote_code", "_fast_init"})
"""What loading does always, or never; taken so that what is written for the reference runs."""
REFUSED = frozenset(
    {
        "adapter_kwargs", "adapter_name", "allow_all_kernels", "cache_dir", "device_mesh", "distributed_config",
        "experts_implementation", "force_download", "from_flax", "from_tf", "gguf_file", "kernel_config", "key_mapping",
        "max_memory", "offload_buffers", "offload_folder", "offload_state_dict", "proxies", "quantization_config",
        "state_dict", "token", "tp_plan", "tp_size", "tqdm_class", "use_kernels", "variant",
    }
)  # fmt: skip
"""What only the reference's machinery can do."""


class PretrainedNetwork(NetworkBase):
    """A network that is loaded and saved in the reference's layout."""

    GENERATES: ClassVar[bool] = False
    """Whether a configuration of decoding goes with it."""
    generation_config: GenerationConfig

    def __init__(self, config: WhisperConfig) -> None:
        """Keep the configuration."""
        super().__init__(config)
        if self.GENERATES:
            self.generation_config = GenerationConfig.from_model_config(config)

    def can_generate(self) -> bool:
        """Say whether it has a head over the vocabulary."""
        return self.GENERATES

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        config: WhisperConfig | str | Path | None = None,
        dtype: torch.dtype | str | None = None,
        torch_dtype: torch.dtype | str | None = None,
        device_map: Any = None,
        attn_implementation: str | None = None,
        generation_config: GenerationConfig | None = None,
        ignore_mismatched_sizes: bool = False,
        local_files_only: bool = False,
        use_safetensors: bool | None = None,
        output_loading_info: bool = False,
        revision: str = "main",
        subfolder: str = "",
        **changes: Any,
    ) -> Any:
        """Load a network, in evaluation mode.

        pretrained_model_name_or_path: a folder, a hub name, or any other that `hub.resolve` knows. dtype: type of the
        weights in memory; None or auto is what `config.json` says, else that of the file (torch_dtype is its former
        name). device_map: auto, a device, or a dictionary that puts all on one. attn_implementation: sdpa or eager.
        changes: fields of the configuration to set otherwise. With output_loading_info returns a pair, the second a
        dictionary of names.
        Raises ModelError for what cannot be loaded, with the file and the tensor; TypeError for an unknown argument.
        """
        name = str(pretrained_model_name_or_path)
        _refuse(changes, revision=revision)
        folder = resolve(name, offline=local_files_only, vocabulary=False).path / subfolder
        if not folder.is_dir():
            raise ModelError(f"{folder}: a network is loaded from a folder; `load_checkpoint` takes openai files")
        config = _configuration(folder if config is None else config, changes, offline=local_files_only)
        config.attn_implementation = attn_implementation or config.attn_implementation
        config.name_or_path = name
        tensors = weights.read_folder(folder, safe=use_safetensors)
        config.dtype = _dtype(dtype if dtype is not None else torch_dtype, config, tensors)
        try:
            network, info = loading.build(
                cls, config, tensors, _device(device_map), config.dtype, mismatched=ignore_mismatched_sizes
            )
        except ModelError as error:
            raise ModelError(f"{folder}: {error}") from error
        if cls.GENERATES and generation_config is not None:
            network.generation_config = generation_config
        elif cls.GENERATES and (folder / FILE).is_file():
            network.generation_config = GenerationConfig.from_pretrained(folder)
        return (network, dataclasses.asdict(info)) if output_loading_info else network

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        state_dict: Mapping[str, Tensor] | None = None,
        max_shard_size: int | str = "50GB",
        safe_serialization: bool = True,
        push_to_hub: bool = False,
        is_main_process: bool = True,
        variant: str | None = None,
    ) -> None:
        """Write configuration and weights into a folder, which is made if need be, as the reference lays them out.

        state_dict: weights to write instead of its own; max_shard_size: bytes, or a text such as 5GB, above which the
        weights go into several files; is_main_process: write nothing if it is false. Raises ValueError for push_to_hub,
        a variant, and pickled weights.
        """
        if not is_main_process:
            return
        if variant is not None:
            raise ValueError(f"variant must be None, got {variant!r}: write it into a folder of its own")
        if push_to_hub:
            raise ValueError("push_to_hub is not supported: write a folder, and upload it with `hf upload`")
        if not safe_serialization:
            raise ValueError("weights are written as safetensors only; safe_serialization must be true")
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        self.config.architectures = [type(self).__name__]
        self.config.dtype = self.dtype
        self.config.save_pretrained(folder)
        if self.GENERATES:
            self.generation_config.save_pretrained(folder)
        tensors = dict(self.state_dict() if state_dict is None else state_dict)
        if self.config.tie_word_embeddings:
            tensors.pop(HEAD, None)
        save_weights(tensors, folder, max_shard_size)


def _refuse(arguments: dict[str, Any], *, revision: str) -> None:
    """Take away arguments without effect; raise for those that are not supported."""
    for name in WITHOUT_EFFECT & arguments.keys():
        del arguments[name]
    for name in sorted(REFUSED & arguments.keys()):
        if arguments.pop(name) not in (None, False):
            raise TypeError(f"from_pretrained does not support {name}")
    if revision != "main":
        raise TypeError(f"from_pretrained loads the revision main only, got {revision!r}; give a folder that holds it")


def _configuration(given: WhisperConfig | str | Path, changes: Mapping[str, Any], *, offline: bool) -> WhisperConfig:
    """Return a configuration of its own, changed. Raises TypeError for a change that is no field."""
    if isinstance(given, WhisperConfig):
        config = copy.deepcopy(given)
    else:
        config = WhisperConfig.from_pretrained(given, local_files_only=offline)
    assert isinstance(config, WhisperConfig)
    for name in changes:
        if not hasattr(config, name):
            raise TypeError(f"from_pretrained has no argument {name!r}, and the configuration has no such field")
    config.update(changes)
    return config


def _device(device_map: Any) -> torch.device:
    """Return the one device that a map names. Raises ValueError for several."""
    if isinstance(device_map, Mapping):
        targets = set(device_map.values())
        if len(targets) != 1:
            raise ValueError(f"device_map must put the whole network on one device, got {dict(device_map)!r}")
        device_map = targets.pop()
    if device_map in {"auto", "balanced", "balanced_low_0", "sequential"}:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device("cpu" if device_map is None else device_map)


def _dtype(wanted: torch.dtype | str | None, config: WhisperConfig, tensors: Mapping[str, StoredTensor]) -> torch.dtype:
    """Return the type to load. Raises ModelError for one that is none."""
    if wanted is not None and wanted != "auto":
        given = as_dtype(wanted)
    elif config.dtype is not None:
        given = config.dtype
    else:
        given = next((tensor.dtype for tensor in tensors.values() if tensor.dtype.is_floating_point), torch.float32)
    assert isinstance(given, torch.dtype)
    return given
