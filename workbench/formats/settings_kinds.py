"""The kind of each setting in a Transformers `config.json`; a key means the same in all
families."""

from __future__ import annotations

from workbench.backbones.config import MAX_EXPERTS, MAX_HEADS, MAX_LAYERS, MAX_SIZE
from workbench.kinds import (
    FLAG,
    NOT_NEGATIVE,
    OBJECT,
    POSITIVE,
    RATE,
    TEXT,
    Kind,
    integer,
    list_of,
)

_ID = integer(0, 2**31 - 1)

_BY_KIND: tuple[tuple[Kind, str], ...] = (
    (
        integer(1, MAX_SIZE),
        "cross_attention_hidden_size d_model decoder_ffn_dim encoder_ffn_dim "
        "ffn_dim ffn_hidden_size hidden_size image_size intermediate_size max_position_embeddings "
        "mm_tokens_per_image moe_intermediate_size n_embd n_inner n_positions "
        "original_max_position_embeddings patch_size shared_expert_intermediate_size "
        "type_vocab_size vocab_size",
    ),
    (
        integer(1, MAX_LAYERS),
        "decoder_layers decoder_num_hidden_layers decoder_sparse_step encoder_layers "
        "encoder_num_hidden_layers n_layer no_rope_layer_interval num_hidden_layers",
    ),
    (
        integer(1, MAX_HEADS),
        "decoder_attention_heads decoder_num_attention_heads encoder_attention_heads "
        "encoder_num_attention_heads head_dim n_head num_attention_heads num_key_value_heads "
        "num_kv_heads num_labels",
    ),
    (integer(1, MAX_EXPERTS), "num_experts num_experts_per_tok num_local_experts"),
    (integer(1, 2), "num_ln_in_parallel_attn"),
    (integer(0, MAX_SIZE), "max_window_layers sliding_window"),
    (_ID, "bos_token_id boi_token_index eoi_token_index eos_token_id image_token_index"),
    (
        POSITIVE,
        "attn_logit_softcapping factor final_logit_softcapping high_freq_factor "
        "layer_norm_epsilon layer_norm_eps low_freq_factor partial_rotary_factor "
        "query_pre_attn_scalar rms_norm_eps rope_local_base_freq rope_theta",
    ),
    (NOT_NEGATIVE, "router_aux_loss_coef"),
    (RATE, "classifier_dropout dropout dropout_rate hidden_dropout hidden_dropout_prob"),
    (
        FLAG,
        "alibi bias multi_query new_decoder_architecture norm_topk_prob parallel_attn "
        "scale_embedding tie_word_embeddings use_bidirectional_attention use_parallel_residual "
        "use_sliding_window",
    ),
    (TEXT, "model_type rope_type type"),
    (OBJECT, "decoder encoder id2label rope_parameters rope_scaling text_config vision_config"),
    (list_of(TEXT), "architectures layer_types"),
    (list_of(integer(0, MAX_LAYERS)), "mlp_only_layers"),
    (list_of(integer(0, 1)), "no_rope_layers"),
    (list_of(POSITIVE), "long_factor short_factor"),
)

KINDS = {key: kind for kind, keys in _BY_KIND for key in keys.split()}
