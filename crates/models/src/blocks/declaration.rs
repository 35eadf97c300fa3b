//! What a block is made of: a tree of named parts with parameters, before there are weights.

use autopipe_nn::{Cut, Error};

use super::NormShape;

/// A block's parameters and the blocks inside of it, in the order in which transformers registers
/// them. The graph and the weights are both derived from it, so that they cannot disagree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declaration {
    parameters: Vec<Declared>,
    parts: Vec<(String, Declaration)>,
    /// Whether it is a matrix that is multiplied with, to which an adapter can be added.
    is_linear: bool,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    /// Within the declaration, then fully qualified: `weight`, `self_attn.q_proj.weight`.
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) init: Init,
    pub(crate) split: Split,
}

/// What each of several tensor-parallel ranks has of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// All of it, and the same gradient as the others.
    Whole,
    /// All of it; its gradient is the sum of what the ranks' backwards give.
    Summed,
    /// Its part of each block of rows, whose sizes these are.
    Rows(Vec<usize>),
    /// Its part of the columns.
    Columns,
}

/// What a parameter is before training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Init {
    /// Normally distributed around 0.
    Normal,
    /// Evenly distributed between the negative and the positive of one over the root of the width,
    /// the last dimension.
    Uniform,
    Zeros,
    Ones,
}

impl Declared {
    fn new(name: &str, shape: Vec<usize>, init: Init) -> Self {
        Self { name: name.to_owned(), shape, init, split: Split::Whole }
    }

    /// How this rank's part lies in the whole; none of what every rank has all of.
    pub(crate) fn cut(&self, index: usize, count: usize) -> Result<Option<Cut>, Error> {
        let (dim, blocks) = match &self.split {
            Split::Whole | Split::Summed => return Ok(None),
            Split::Rows(blocks) => (0, blocks.clone()),
            Split::Columns => (1, self.shape.iter().skip(1).copied().collect()),
        };
        Cut::new(self.shape.as_slice().into(), dim, blocks, index, count).map(Some)
    }

    /// Operations per token of a product with this parameter: a multiplication and an addition for
    /// each element of a matrix; what lies along a vector is not worth counting.
    fn flops_per_token(&self) -> u64 {
        if self.shape.len() < 2 {
            0
        } else {
            self.shape.iter().fold(2, |flops, &size| flops * size as u64)
        }
    }
}

impl Declaration {
    /// Parts by their names.
    pub(crate) fn of<N: Into<String>>(parts: impl IntoIterator<Item = (N, Self)>) -> Self {
        let parts = parts.into_iter().map(|(name, part)| (name.into(), part)).collect();
        Self { parts, ..Self::default() }
    }

    /// A part without parameters, such as an activation.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    /// A matrix from `num_in` to `num_out` numbers, and perhaps a bias.
    pub(crate) fn linear(num_in: usize, num_out: usize, has_bias: bool) -> Self {
        let mut parameters = vec![Declared::new("weight", vec![num_out, num_in], Init::Normal)];
        if has_bias {
            parameters.push(Declared::new("bias", vec![num_out], Init::Zeros));
        }
        Self { parameters, parts: Vec::new(), is_linear: true }
    }

    /// The matrix cut among ranks by its outputs, which are blocks of these sizes: each rank has the
    /// input, and a part of the result.
    pub(crate) fn cut_by_outputs(mut self, blocks: &[usize]) -> Self {
        for parameter in &mut self.parameters {
            parameter.split = Split::Rows(blocks.to_vec());
        }
        self
    }

    /// The matrix cut among ranks by its inputs: each rank has a part of the input, and a summand of
    /// the result. The bias comes behind the sum.
    pub(crate) fn cut_by_inputs(mut self) -> Self {
        for parameter in self.parameters.iter_mut().filter(|p| p.shape.len() == 2) {
            parameter.split = Split::Columns;
        }
        self
    }

    /// Applied by each rank to a part of the numbers.
    pub(crate) fn applied_in_parts(mut self) -> Self {
        for parameter in &mut self.parameters {
            parameter.split = Split::Summed;
        }
        self
    }

    /// A row for each of `num_rows` ids.
    pub(crate) fn embedding(num_rows: usize, width: usize) -> Self {
        let weight = Declared::new("weight", vec![num_rows, width], Init::Normal);
        Self { parameters: vec![weight], ..Self::default() }.cut_by_outputs(&[num_rows])
    }

    /// A scale for each of `width` numbers.
    pub(crate) fn norm(width: usize, shape: NormShape) -> Self {
        let neutral = if shape.has_unit_offset { Init::Zeros } else { Init::Ones };
        let weight = Declared::new("weight", vec![width], neutral);
        Self { parameters: vec![weight], ..Self::default() }
    }

    /// All parameters, their names behind `path`.
    pub(crate) fn parameters(&self, path: &str) -> Vec<Declared> {
        let own = self
            .parameters
            .iter()
            .map(|p| Declared { name: format!("{path}.{}", p.name), ..p.clone() });
        let inner =
            self.parts.iter().flat_map(|(name, part)| part.parameters(&format!("{path}.{name}")));
        own.chain(inner).collect()
    }

    /// The paths of all matrices that are multiplied with, behind `path`, with their weights.
    pub(crate) fn linears(&self, path: &str) -> Vec<(String, Declared)> {
        let matrices = self.parameters.iter().filter(|p| self.is_linear && p.shape.len() == 2);
        let own = matrices.map(|weight| (path.to_owned(), weight.clone()));
        let inner =
            self.parts.iter().flat_map(|(name, part)| part.linears(&format!("{path}.{name}")));
        own.chain(inner).collect()
    }

    /// The dotted names of all parts and of theirs, each before what it contains.
    pub(crate) fn part_names(&self) -> Vec<String> {
        let with_inner = |(name, part): &(String, Self)| {
            let inner = part.part_names().into_iter().map(move |inner| format!("{name}.{inner}"));
            std::iter::once(name.clone()).chain(inner.collect::<Vec<_>>())
        };
        self.parts.iter().flat_map(with_inner).collect()
    }

    /// Operations per token of the forward's products with weights.
    pub(crate) fn flops_per_token(&self) -> u64 {
        let own = self.parameters.iter().map(Declared::flops_per_token);
        own.chain(self.parts.iter().map(|(_, part)| part.flops_per_token())).sum()
    }
}
