//! How many heads an attention has, and how wide they are.

use crate::hf::fields::Fields;

/// The heads of an attention.
#[derive(Clone, Copy, Debug)]
pub(in crate::hf) struct Heads {
    /// Of queries.
    pub(in crate::hf) num: usize,
    /// Of keys and values; each serves a group of query heads.
    pub(in crate::hf) num_kv: usize,
    /// The width of a head.
    pub(in crate::hf) dim: usize,
}

/// What a family takes where its config says nothing.
#[derive(Clone, Copy, Debug)]
pub(in crate::hf) struct HeadDefaults {
    pub(in crate::hf) num: usize,
    /// None for as many as query heads.
    pub(in crate::hf) num_kv: Option<usize>,
    /// None for what the hidden size leaves to each head.
    pub(in crate::hf) dim: Option<usize>,
}

impl Heads {
    pub(in crate::hf) fn read(
        fields: &Fields<'_>,
        hidden_size: usize,
        default: HeadDefaults,
    ) -> Self {
        let (num_key, kv_key, dim_key) = ("num_attention_heads", "num_key_value_heads", "head_dim");
        let num = fields.size(num_key, default.num);
        let num_kv = fields
            .optional_size(kv_key)
            .or(if fields.is_null(kv_key) { None } else { default.num_kv })
            .unwrap_or(num);
        fields.check_multiple((num_key, num), (kv_key, num_kv), "");
        let dim = fields
            .optional_size(dim_key)
            .or(if fields.is_null(dim_key) { None } else { default.dim })
            .unwrap_or_else(|| {
                let hidden = ("hidden_size", hidden_size);
                fields.check_multiple(hidden, (num_key, num), "; or give `head_dim`");
                hidden_size / num
            });
        Self { num, num_kv, dim }
    }

    /// Numbers in the queries of a token.
    pub(in crate::hf) fn q_size(self) -> usize {
        self.num * self.dim
    }

    /// Numbers in the keys of a token; its values have as many.
    pub(in crate::hf) fn kv_size(self) -> usize {
        self.num_kv * self.dim
    }
}
