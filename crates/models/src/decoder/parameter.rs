//! The parameters of a module as they are to be trained.

use candle_core::DType;

use super::part::Part;
use super::{Decoder, EMBEDDING, HEAD};
use crate::blocks::{Declared, Init, Split};
use crate::lora::{LORA_A, LORA_B};
use crate::options::matches_end;

/// One parameter of a stage.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// With its fully qualified name.
    pub(crate) declared: Declared,
    pub(crate) trainable: bool,
    /// The parameter of another module that is the same tensor.
    pub(crate) shared_with: Option<&'static str>,
    /// Whether it is of an adapter, not of the model.
    pub(crate) is_adapter: bool,
    /// Whether it is saved with the adapters: theirs, and what is trained whole beside them.
    pub(crate) is_in_adapter: bool,
    pub(crate) dtype: DType,
}

impl Decoder {
    /// The parameters of a module, those of its adapters behind them.
    pub(super) fn parameters(&self, part: Part) -> Vec<Planned> {
        let declaration = part.declare(&self.shape);
        let path = part.name();
        let is_tied = part == Part::Head && self.shape.is_tied;
        let is_shared = self.shape.is_tied && matches!(part, Part::Embedding | Part::Head);
        // One tensor with two names is frozen by either.
        let both_frozen = is_shared && [EMBEDDING, HEAD].iter().any(|name| self.is_frozen(name));
        let own = declaration.parameters(&path).into_iter().map(|declared| {
            let shared_with = is_tied.then_some(EMBEDDING);
            let of_whom = shared_with.unwrap_or(&declared.name);
            let is_in_adapter = self.is_saved_whole(of_whom);
            let is_trained = self.options.lora.is_none() || is_in_adapter;
            Planned {
                trainable: is_trained && !both_frozen && !self.is_frozen(of_whom),
                shared_with,
                is_adapter: false,
                is_in_adapter: is_in_adapter && shared_with.is_none(),
                dtype: self.options.dtype,
                declared,
            }
        });
        let adapters = declaration
            .linears(&path)
            .into_iter()
            .filter(|(path, _)| self.adapted.contains(path))
            .flat_map(|(path, weight)| self.adapter(&path, &weight));
        own.chain(adapters).collect()
    }

    fn adapter(&self, path: &str, weight: &Declared) -> Vec<Planned> {
        let (Some(lora), &[num_out, num_in]) = (&self.options.lora, weight.shape.as_slice()) else {
            return Vec::new();
        };
        // A rank's part of the outputs depends on all of what is between the two, and its part of the
        // inputs gives a summand of it: what is not cut has a part of its gradient on each.
        let splits = match &weight.split {
            Split::Whole => [Split::Whole, Split::Whole],
            Split::Summed => [Split::Summed, Split::Summed],
            Split::Rows(blocks) => [Split::Summed, Split::Rows(blocks.clone())],
            Split::Columns => [Split::Columns, Split::Summed],
        };
        let matrix = |name: &str, shape: [usize; 2], init, split| {
            let name = format!("{path}.{name}");
            Planned {
                trainable: !self.is_frozen(&name),
                shared_with: None,
                is_adapter: true,
                is_in_adapter: true,
                // Its small steps would be lost in half precision.
                dtype: DType::F32,
                declared: Declared { name, shape: shape.to_vec(), init, split },
            }
        };
        let [of_a, of_b] = splits;
        vec![
            matrix(LORA_A, [lora.rank, num_in], Init::Uniform, of_a),
            matrix(LORA_B, [num_out, lora.rank], Init::Zeros, of_b),
        ]
    }

    /// Whether a parameter is of a module that is trained whole beside the adapters.
    fn is_saved_whole(&self, name: &str) -> bool {
        let module = name.rsplit_once('.').map_or(name, |(module, _)| module);
        self.whole.iter().any(|pattern| matches_end(pattern, module))
    }

    fn is_frozen(&self, name: &str) -> bool {
        self.frozen.iter().any(|pattern| pattern.covers(name))
    }
}
