//! How a tensor is a part of a whole one that ranks have together.

use std::ops::Range;

use candle_core::{Shape, Tensor};

use crate::Error;

/// What one of several ranks has of a tensor: a part of each block of one dimension.
///
/// A matrix that is several in one, such as queries, keys and values behind each other, has a block for
/// each, so that every rank gets its part of all of them; other tensors are one block. Each block is
/// shared out as evenly as can be, the first ranks one more where it cannot. The parts of a rank lie
/// behind each other in the order of the blocks.
///
/// # Examples
/// ```
/// use autopipe_nn::Cut;
/// use candle_core::{Device, Tensor};
///
/// // Three rows of one matrix and two of another, for the second of two ranks.
/// let whole = Tensor::arange(0f32, 5., &Device::Cpu)?.reshape((5, 1))?;
/// let cut = Cut::new(whole.shape().clone(), 0, vec![3, 2], 1, 2)?;
/// let (first, mine) = (cut.of_index(0)?.take(&whole)?, cut.take(&whole)?);
/// assert_eq!(first.flatten_all()?.to_vec1::<f32>()?, [0., 1., 3.]);
/// assert_eq!(mine.flatten_all()?.to_vec1::<f32>()?, [2., 4.]);
/// assert_eq!(cut.join(&[first, mine])?.to_vec2::<f32>()?, whole.to_vec2::<f32>()?);
/// # Ok::<(), autopipe_nn::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    whole: Shape,
    dim: usize,
    /// The sizes of the blocks, which are the dimension together.
    blocks: Vec<usize>,
    index: usize,
    count: usize,
}

impl Cut {
    /// The part of rank `index` of `count`, of a tensor of the shape `whole` whose dimension `dim` has
    /// `blocks` of these sizes.
    ///
    /// # Errors
    /// If there is no such dimension or no such rank, or the blocks are not the dimension together.
    pub fn new(
        whole: Shape,
        dim: usize,
        blocks: Vec<usize>,
        index: usize,
        count: usize,
    ) -> Result<Self, Error> {
        let sum = blocks.iter().try_fold(0usize, |sum, &block| sum.checked_add(block));
        if whole.dims().get(dim).copied() != sum || sum.is_none() {
            return Err(Error::CutBlocks { whole, dim, blocks });
        }
        if index >= count {
            return Err(Error::CutIndex { index, count });
        }
        Ok(Self { whole, dim, blocks, index, count })
    }

    /// The shape of the whole tensor.
    pub fn whole_shape(&self) -> &Shape {
        &self.whole
    }

    /// The dimension that is cut.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Whose part it is, below [`count`](Self::count).
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many ranks have a part.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The part of another rank.
    ///
    /// # Errors
    /// If there is no such rank.
    pub fn of_index(&self, index: usize) -> Result<Self, Error> {
        if index >= self.count {
            return Err(Error::CutIndex { index, count: self.count });
        }
        Ok(Self { index, ..self.clone() })
    }

    /// Where this rank's part is in the whole, along the dimension: a range for each block.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = self.blocks.iter().scan(0, |end, &block| {
            let start = *end;
            *end += block;
            Some((start, block))
        });
        starts.map(|(start, block)| {
            let part = even_part(block, self.index, self.count);
            start + part.start..start + part.end
        })
    }

    /// The shape of this rank's part.
    pub fn shape(&self) -> Shape {
        let mut dims = self.whole.dims().to_vec();
        dims[self.dim] = self.ranges().map(|range| range.len()).sum();
        Shape::from(dims)
    }

    /// This rank's part of the whole tensor: contiguous, in memory of its own.
    ///
    /// # Errors
    /// If the tensor has another shape, or the copy cannot be made.
    pub fn take(&self, whole: &Tensor) -> Result<Tensor, Error> {
        if whole.shape() != &self.whole {
            return Err(Error::CutShape {
                what: "the whole tensor",
                expected: self.whole.clone(),
                actual: whole.shape().clone(),
            });
        }
        let parts = self
            .ranges()
            .map(|range| whole.narrow(self.dim, range.start, range.len()))
            .collect::<candle_core::Result<Vec<_>>>()?;
        match parts.as_slice() {
            [part] => Ok(part.force_contiguous()?.detach()),
            // Along a dimension but the first, candle leaves a view of another order.
            parts => Ok(Tensor::cat(parts, self.dim)?.force_contiguous()?.detach()),
        }
    }

    /// The whole tensor, of all ranks' parts by their index.
    ///
    /// # Errors
    /// If they are not as many parts in their shapes, or the tensor cannot be made.
    pub fn join(&self, parts: &[Tensor]) -> Result<Tensor, Error> {
        if parts.len() != self.count {
            return Err(Error::CutParts { expected: self.count, actual: parts.len() });
        }
        let mut starts = Vec::with_capacity(self.count);
        for (index, part) in parts.iter().enumerate() {
            let expected = self.of_index(index)?.shape();
            if part.shape() != &expected {
                let actual = part.shape().clone();
                return Err(Error::CutShape { what: "a part", expected, actual });
            }
            starts.push((part, 0));
        }
        let mut pieces = Vec::with_capacity(self.blocks.len() * self.count);
        for &block in &self.blocks {
            for (index, (tensor, start)) in starts.iter_mut().enumerate() {
                let len = even_part(block, index, self.count).len();
                pieces.push(tensor.narrow(self.dim, *start, len)?);
                *start += len;
            }
        }
        Ok(Tensor::cat(&pieces, self.dim)?.contiguous()?.detach())
    }
}

/// Which of `num` things are those of rank `index` of `count`: each has as many as the others, the first
/// ranks one more where they cannot be shared out evenly.
///
/// ```
/// use autopipe_nn::even_part;
///
/// assert_eq!([0, 1, 2].map(|index| even_part(7, index, 3)), [0..3, 3..5, 5..7]);
/// ```
pub fn even_part(num: usize, index: usize, count: usize) -> Range<usize> {
    let (each, more) = (num / count, num % count);
    let start = each * index + more.min(index);
    start..start + each + usize::from(index < more)
}
