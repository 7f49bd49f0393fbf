"""Small checkpoints with random weights and the reference's own code, for tests of loading and of the network."""

import json
from pathlib import Path

import tokenizers
import torch
import transformers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from transformers.initialization import no_init_weights

from model.text.languages import LANGUAGES

SPECIALS = (
    "<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in list(LANGUAGES)[:99]),
    "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip
TIMESTAMPS = tuple(f"<|{i * 0.02:.2f}|>" for i in range(1501))
SENTENCES = (
    " The quick brown fox jumps over the lazy dog, and the dog does not care at all.",
    " Ask not what your country can do for you - ask what you can do for your country!",
    " Schöne Grüße aus Köln, naïve café, señor; 今日はいい天気です。 สวัสดี привет мир",
)
TEXT_TOKENS = 300
TINY_VOCABULARY = TEXT_TOKENS + len(SPECIALS) + len(TIMESTAMPS)


def tiny_tokenizer() -> tokenizers.Tokenizer:
    """A byte-level vocabulary of 300 text tokens with all of Whisper's special and timestamp tokens after them."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TEXT_TOKENS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    tokenizer.add_special_tokens([AddedToken(content, normalized=False, special=True) for content in SPECIALS])
    tokenizer.add_tokens([AddedToken(content, normalized=False) for content in TIMESTAMPS])
    assert tokenizer.get_vocab_size() == TINY_VOCABULARY
    return tokenizer


def random_whisper(**shape: object) -> transformers.WhisperForConditionalGeneration:
    """The reference with weights spread enough that every part shows in the logits, biases and norms included."""
    sizes = {
        "vocab_size": TINY_VOCABULARY, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "num_mel_bins": 80,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "max_source_positions": 50,
        "max_target_positions": 64, "pad_token_id": TEXT_TOKENS, "bos_token_id": TEXT_TOKENS,
        "eos_token_id": TEXT_TOKENS, "decoder_start_token_id": TEXT_TOKENS + 1, "attn_implementation": "eager",
    } | shape  # fmt: skip
    sizes |= {"encoder_ffn_dim": 4 * sizes["d_model"], "decoder_ffn_dim": 4 * sizes["d_model"]}
    config = transformers.WhisperConfig(**sizes)
    with no_init_weights():
        model = transformers.WhisperForConditionalGeneration(config)
    model.tie_weights()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name == "model.encoder.embed_positions.weight":
                weight.copy_(transformers.models.whisper.modeling_whisper.sinusoids(*weight.shape))
            elif "layer_norm.weight" in name:
                weight.normal_(1.0, 0.1, generator=generator)
            else:
                weight.normal_(0.0, 2.0 / config.d_model**0.5, generator=generator)
    return model.eval()


def save(model: transformers.WhisperForConditionalGeneration, folder: Path, **options: object) -> Path:
    """Write the folder as the reference does, with a vocabulary and a preprocessor beside the weights."""
    model.save_pretrained(folder, **options)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    transformers.WhisperFeatureExtractor(feature_size=model.config.num_mel_bins).save_pretrained(folder)
    return folder


def edit_json(path: Path, **changes: object) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def openai_state(model: transformers.WhisperForConditionalGeneration) -> dict[str, object]:
    """The same weights as openai/whisper would save them, written down independently of the loader."""
    config, ours = model.config, dict(model.model.named_parameters())
    state = {}

    def put(theirs: str, name: str, *kinds: str) -> None:
        for kind in kinds or ("weight", "bias"):
            state[f"{theirs}.{kind}"] = ours[f"{name}.{kind}"].detach().clone()

    for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        for i in range(layers):
            block, layer = f"{side}.blocks.{i}", f"{side}.layers.{i}"
            for attention, name in (("attn", "self_attn"), ("cross_attn", "encoder_attn")):
                if attention == "cross_attn" and side == "encoder":
                    continue
                put(f"{block}.{attention}.query", f"{layer}.{name}.q_proj")
                put(f"{block}.{attention}.key", f"{layer}.{name}.k_proj", "weight")
                put(f"{block}.{attention}.value", f"{layer}.{name}.v_proj")
                put(f"{block}.{attention}.out", f"{layer}.{name}.out_proj")
                put(f"{block}.{attention}_ln", f"{layer}.{name}_layer_norm")
            put(f"{block}.mlp.0", f"{layer}.fc1")
            put(f"{block}.mlp.2", f"{layer}.fc2")
            put(f"{block}.mlp_ln", f"{layer}.final_layer_norm")
    put("encoder.conv1", "encoder.conv1")
    put("encoder.conv2", "encoder.conv2")
    put("encoder.ln_post", "encoder.layer_norm")
    put("decoder.ln", "decoder.layer_norm")
    put("decoder.token_embedding", "decoder.embed_tokens", "weight")
    for side in ("encoder", "decoder"):
        state[f"{side}.positional_embedding"] = ours[f"{side}.embed_positions.weight"].detach().clone()
    dims = {
        "n_mels": config.num_mel_bins, "n_vocab": config.vocab_size, "n_audio_ctx": config.max_source_positions,
        "n_audio_state": config.d_model, "n_audio_head": config.encoder_attention_heads,
        "n_audio_layer": config.encoder_layers, "n_text_ctx": config.max_target_positions,
        "n_text_state": config.d_model, "n_text_head": config.decoder_attention_heads,
        "n_text_layer": config.decoder_layers,
    }  # fmt: skip
    return {"dims": dims, "model_state_dict": state}
