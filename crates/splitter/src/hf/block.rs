//! What a module is made of: a tree of named parts with parameters and what a token costs in them.

/// Parameters and the blocks inside, in the order in which transformers registers them.
///
/// Costs are those of one token on its way through; a layer of experts counts the ones that a token
/// is sent to. Numbers are `u128`, in which no product of sizes that were read can overflow.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    tensors: Vec<Tensor>,
    parts: Vec<Part>,
    kept: Numbers,
    pair_flops: u128,
}

/// How many numbers a forward keeps: see [`Kept`](crate::Kept).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) whole: u128,
    pub(super) cut: u128,
    pub(super) added: u128,
}

/// One parameter.
#[derive(Clone, Debug)]
struct Tensor {
    name: &'static str,
    shape: Vec<usize>,
    is_trainable: bool,
    /// Operations per token of the products with it.
    flops: u128,
}

/// A block inside of another.
#[derive(Clone, Debug)]
struct Part {
    name: &'static str,
    /// How many equal blocks stand under `name.0`, `name.1` ..; none if the block is `name` itself.
    copies: Option<usize>,
    /// Through how many blocks a token goes.
    times: u128,
    /// How many tokens go through as one.
    merged: u128,
    block: Block,
}

/// A parameter as the graph takes it.
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) is_trainable: bool,
}

impl Block {
    /// A part without parameters, such as an activation.
    pub(super) fn empty() -> Self {
        Self::default()
    }

    /// Parts by their names.
    pub(super) fn of(parts: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        parts.into_iter().fold(Self::empty(), |block, (name, part)| block.with(name, part))
    }

    /// A matrix from `num_in` to `num_out` numbers.
    pub(super) fn linear(num_in: usize, num_out: usize) -> Self {
        Self::empty().product("weight", [num_out, num_in], 1)
    }

    /// The same, followed by a bias if there is one.
    pub(super) fn linear_with(num_in: usize, num_out: usize, bias: Bias) -> Self {
        let linear = Self::linear(num_in, num_out);
        match bias {
            Bias::None => linear,
            Bias::Added => linear.vector("bias", num_out),
        }
    }

    /// A scale for each of `width` numbers.
    pub(super) fn rms_norm(width: usize) -> Self {
        Self::empty().vector("weight", width)
    }

    /// A scale and a shift for each of `width` numbers.
    pub(super) fn layer_norm(width: usize) -> Self {
        Self::rms_norm(width).vector("bias", width)
    }

    /// A row for each of `num_rows` ids, which is looked up and not multiplied with.
    pub(super) fn embedding(num_rows: usize, width: usize) -> Self {
        Self::empty().tensor("weight", [num_rows, width], 0)
    }

    /// Adds a part behind the others.
    pub(super) fn with(mut self, name: &'static str, block: Self) -> Self {
        self.parts.push(Part { name, copies: None, times: 1, merged: 1, block });
        self
    }

    /// Adds a list of `num` equal parts, through all of which a token goes.
    pub(super) fn with_list(self, name: &'static str, num: usize, block: Self) -> Self {
        self.with_choice(name, num, num, block)
    }

    /// Adds a list of `num` equal parts, `active` of which a token is sent to.
    pub(super) fn with_choice(
        mut self,
        name: &'static str,
        num: usize,
        active: usize,
        block: Self,
    ) -> Self {
        let times = active as u128;
        self.parts.push(Part { name, copies: Some(num), times, merged: 1, block });
        self
    }

    /// Adds a part that takes `merged` tokens as one.
    pub(super) fn with_merged(mut self, name: &'static str, merged: usize, block: Self) -> Self {
        let merged = (merged as u128).max(1);
        self.parts.push(Part { name, copies: None, times: 1, merged, block });
        self
    }

    /// Adds a vector of parameters, whose operations are not worth counting.
    pub(super) fn vector(self, name: &'static str, width: usize) -> Self {
        self.tensor(name, [width], 0)
    }

    /// Adds a parameter that each token is multiplied with `times` times, a multiplication and an
    /// addition for each element.
    pub(super) fn product(
        self,
        name: &'static str,
        shape: impl Into<Vec<usize>>,
        times: usize,
    ) -> Self {
        let shape = shape.into();
        let flops = 2 * elements(&shape) * times as u128;
        self.tensor(name, shape, flops)
    }

    /// Adds one matrix for each of `num` experts, `active` of which a token is multiplied with.
    pub(super) fn expert_product(
        self,
        name: &'static str,
        [num, rows, columns]: [usize; 3],
        active: usize,
    ) -> Self {
        let flops = 2 * elements(&[active, rows, columns]);
        self.tensor(name, [num, rows, columns], flops)
    }

    /// Adds a tensor of the checkpoint that training does not change.
    pub(super) fn constant(mut self, name: &'static str, shape: impl Into<Vec<usize>>) -> Self {
        self.tensors.push(Tensor { name, shape: shape.into(), is_trainable: false, flops: 0 });
        self
    }

    /// Adds a parameter by the operations that it takes.
    pub(super) fn tensor(
        mut self,
        name: &'static str,
        shape: impl Into<Vec<usize>>,
        flops: u128,
    ) -> Self {
        self.tensors.push(Tensor { name, shape: shape.into(), is_trainable: true, flops });
        self
    }

    /// Says that the forward keeps `numbers` more per token, on a tensor-parallel rank as well.
    pub(super) fn keeping(mut self, numbers: u128) -> Self {
        self.kept.whole += numbers;
        self
    }

    /// Says that the forward keeps `numbers` more per token, which tensor-parallel ranks share out.
    pub(super) fn keeping_parts(mut self, numbers: u128) -> Self {
        self.kept.cut += numbers;
        self
    }

    /// Says that each of several tensor-parallel ranks keeps `numbers` more per token: a block that is
    /// cut begins with a copy of its input, and ends with the sum beside the rank's own summand.
    pub(super) fn adding(mut self, numbers: u128) -> Self {
        self.kept.added += numbers;
        self
    }

    /// Says that each pair of tokens that attend to each other takes `flops`.
    pub(super) fn per_pair(mut self, flops: u128) -> Self {
        self.pair_flops += flops;
        self
    }

    /// How many numbers the forward keeps per token.
    pub(super) fn kept_per_token(&self) -> Numbers {
        self.parts.iter().fold(self.kept, |kept, part| {
            let inner = part.block.kept_per_token();
            let sum = |own: u128, inner: u128| own + part.times * inner / part.merged;
            Numbers {
                whole: sum(kept.whole, inner.whole),
                cut: sum(kept.cut, inner.cut),
                added: sum(kept.added, inner.added),
            }
        })
    }

    /// Operations of the products with parameters, per token.
    pub(super) fn flops_per_token(&self) -> u128 {
        let own: u128 = self.tensors.iter().map(|tensor| tensor.flops).sum();
        own + self.sum(Self::flops_per_token)
    }

    /// Operations per pair of tokens that attend to each other.
    pub(super) fn flops_per_pair(&self) -> u128 {
        self.pair_flops + self.sum(Self::flops_per_pair)
    }

    /// How many numbers the parameters hold.
    pub(super) fn num_parameters(&self) -> u128 {
        let own: u128 = self.tensors.iter().map(|tensor| elements(&tensor.shape)).sum();
        own + self.parts.iter().map(|part| part.num() * part.block.num_parameters()).sum::<u128>()
    }

    /// How many names a graph has to hold for it: parameters and parts.
    pub(super) fn num_names(&self) -> u128 {
        let inner = |part: &Part| part.num() * (1 + part.block.num_names());
        self.tensors.len() as u128 + self.parts.iter().map(inner).sum::<u128>()
    }

    /// All parameters, their names behind `path`.
    pub(super) fn parameters(&self, path: &str) -> Vec<Declared> {
        let mut all = Vec::new();
        self.collect(path, &mut all);
        all
    }

    /// The dotted names of all parts and of theirs, each before what it contains.
    pub(super) fn part_names(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.collect_names("", &mut all);
        all
    }

    fn sum(&self, cost: impl Fn(&Self) -> u128) -> u128 {
        self.parts.iter().map(|part| part.times * cost(&part.block) / part.merged).sum()
    }

    fn collect(&self, path: &str, all: &mut Vec<Declared>) {
        all.extend(self.tensors.iter().map(|tensor| Declared {
            name: format!("{path}.{}", tensor.name),
            shape: tensor.shape.clone(),
            is_trainable: tensor.is_trainable,
        }));
        for part in &self.parts {
            let path = format!("{path}.{}", part.name);
            match part.copies {
                None => part.block.collect(&path, all),
                Some(num) => {
                    for copy in 0..num {
                        part.block.collect(&format!("{path}.{copy}"), all);
                    }
                }
            }
        }
    }

    fn collect_names(&self, path: &str, all: &mut Vec<String>) {
        for part in &self.parts {
            let name = format!("{path}{}", part.name);
            all.push(name.clone());
            match part.copies {
                None => part.block.collect_names(&format!("{name}."), all),
                Some(num) => {
                    for copy in 0..num {
                        let name = format!("{name}.{copy}");
                        all.push(name.clone());
                        part.block.collect_names(&format!("{name}."), all);
                    }
                }
            }
        }
    }
}

impl Part {
    fn num(&self) -> u128 {
        self.copies.map_or(1, |num| num as u128)
    }
}

/// Whether a matrix is followed by a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bias {
    /// It is not.
    None,
    /// It is.
    Added,
}

impl From<bool> for Bias {
    fn from(is_added: bool) -> Self {
        if is_added { Self::Added } else { Self::None }
    }
}

fn elements(shape: &[usize]) -> u128 {
    shape.iter().map(|&size| size as u128).product()
}
