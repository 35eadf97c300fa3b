//! Slices of parameters: what a rank has of one that several share out.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Shape, Tensor, Var};

use super::{Parameter, Parameters, Value};
use crate::Error;

/// Where a parameter's numbers are in another one.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    whole: Shape,
    range: Range<usize>,
}

impl Parameter {
    /// Whether this is a slice of another parameter, made by [`Parameters::slices`].
    pub fn is_slice(&self) -> bool {
        self.inner.slice.is_some()
    }

    /// The shape of the parameter that this is a slice of; its own if it is none. A parameter that is
    /// cut among tensor-parallel ranks is sliced as the part that it is.
    pub fn whole_shape(&self) -> &Shape {
        self.inner.slice.as_ref().map_or(self.shape(), |slice| &slice.whole)
    }

    /// Which numbers of the whole parameter it has, in the order of its elements; all if it is no
    /// slice.
    pub fn range(&self) -> Range<usize> {
        self.inner.slice.as_ref().map_or(0..self.num_elements(), |slice| slice.range.clone())
    }

    /// What of a tensor of the whole parameter is this one's, such as of what an optimiser remembers in a
    /// checkpoint: the part that a [`cut`](Self::cut) says, and of that the slice. All, if it is whole.
    ///
    /// # Errors
    /// If the tensor is not of the whole parameter's shape.
    ///
    /// # Examples
    /// ```
    /// use autopipe_nn::{Cut, Parameters};
    /// use candle_core::{Device, Tensor};
    ///
    /// let whole = Tensor::arange(0f32, 12., &Device::Cpu)?.reshape((3, 4))?;
    /// let cut = Cut::new(whole.shape().clone(), 1, vec![4], 1, 2)?; // the last two columns
    /// let mut parameters = Parameters::new();
    /// parameters.add_cut("weight", cut.take(&whole)?, true, cut)?;
    /// let mine = parameters.slices(|_| Some(0..3))?;
    /// let own = mine.get("weight").unwrap().own_part(&whole)?;
    /// assert_eq!(own.to_vec1::<f32>()?, [2., 3., 6.]);
    /// # Ok::<(), autopipe_nn::Error>(())
    /// ```
    pub fn own_part(&self, whole: &Tensor) -> Result<Tensor, Error> {
        let part = match self.cut() {
            Some(cut) => cut.take(whole)?,
            None => whole.clone(),
        };
        if part.shape() != self.whole_shape() {
            let (expected, actual) = (self.whole_shape().clone(), part.shape().clone());
            return Err(Error::CutShape { what: "the whole tensor", expected, actual });
        }
        if !self.is_slice() {
            return Ok(part);
        }
        let range = self.range();
        Ok(part.flatten_all()?.narrow(0, range.start, range.len())?)
    }
}

impl Parameters {
    /// The same set with slices in place of some parameters: of each for which `range_of` says one,
    /// those numbers, flat, as a parameter of the same name. A slice has numbers and a gradient of its
    /// own; it is what an optimiser works on whose state is shared out over ranks. An optimiser treats
    /// it as it would the whole, whose shape it knows: a slice of a matrix decays. The other parameters
    /// are shared with this set.
    ///
    /// # Errors
    /// If a range goes beyond its parameter, the parameter is frozen or released, or the copy cannot
    /// be made.
    ///
    /// # Examples
    /// ```
    /// use autopipe_nn::Parameters;
    /// use candle_core::{Device, Tensor};
    ///
    /// let mut parameters = Parameters::new();
    /// parameters.add("weight", Tensor::new(&[[1f32, 2.], [3., 4.]], &Device::Cpu)?, true)?;
    /// let mine = parameters.slices(|_| Some(1..3))?;
    /// let weight = mine.get("weight").unwrap();
    /// assert_eq!(weight.value().to_vec1::<f32>()?, [2., 3.]);
    /// assert_eq!((weight.whole_shape().dims(), weight.range()), (&[2, 2][..], 1..3));
    /// # Ok::<(), autopipe_nn::Error>(())
    /// ```
    pub fn slices(
        &self,
        range_of: impl Fn(&Parameter) -> Option<Range<usize>>,
    ) -> Result<Self, Error> {
        let mut slices = Self::new();
        let mut list = Vec::with_capacity(self.len());
        for parameter in self {
            list.push(match range_of(parameter) {
                Some(range) => cut(parameter, range, &slices)?,
                None => parameter.clone(),
            });
        }
        slices.index = Arc::clone(&self.index);
        slices.list = Arc::new(list);
        Ok(slices)
    }
}

fn cut(parameter: &Parameter, range: Range<usize>, set: &Parameters) -> Result<Parameter, Error> {
    let num_elements = parameter.num_elements();
    if range.start > range.end || range.end > num_elements {
        return Err(Error::SliceRange {
            parameter: parameter.name().to_owned(),
            range,
            num_elements,
        });
    }
    let Value::Trainable(_, outside) = &parameter.inner.value else {
        return Err(Error::FrozenSlice { parameter: parameter.name().to_owned() });
    };
    let numbers = if range.is_empty() {
        // Not every device has memory of no bytes.
        Tensor::zeros(0, parameter.dtype(), &Device::Cpu)?
    } else {
        outside.flatten_all()?.narrow(0, range.start, range.len())?
    };
    let var = Var::from_tensor(&numbers)?;
    let outside = var.as_detached_tensor();
    let whole = parameter.whole_shape().clone();
    let start = parameter.range().start;
    let slice = Slice { whole, range: start + range.start..start + range.end };
    let (name, share) = (parameter.name(), parameter.inner.share.of_slice());
    Ok(Parameter::new(name, Value::Trainable(var, outside), set, Some(slice), share))
}
