//! A decoder with a language-model head as all families here have it: embedding, layers, norm, head.

mod build;
mod check;
mod documents;
mod graph;
mod parameter;
mod part;
mod position_problem;
mod select;
mod shape;
mod stage;
mod tensor_parallel;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use autopipe_splitter::ElementType;
use candle_core::DType;

pub(crate) use parameter::Planned;
pub use position_problem::PositionProblem;
pub use select::ModuleProblem;
pub(crate) use shape::DecoderShape;
pub use tensor_parallel::TensorParallelProblem;

use crate::lora::targets;
use crate::nearest::nearest;
use crate::options::{Options, Pattern, matches_end};
use crate::{AdapterWeights, Checkpoint, Error, Lora};
use part::{Part, parts};

/// The embedding's weight, which is the head's as well where the two are tied.
const EMBEDDING: &str = "model.embed_tokens.weight";

/// The head's.
const HEAD: &str = "lm_head.weight";

/// A decoder and how it is to be trained.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    pub(crate) shape: DecoderShape,
    pub(crate) options: Options,
    element: ElementType,
    frozen: Vec<Pattern>,
    /// The modules that are trained whole beside the adapters.
    whole: Vec<Pattern>,
    /// The paths of the matrices with an adapter. Of experts there are thousands.
    adapted: BTreeSet<String>,
}

impl Decoder {
    /// # Errors
    /// If the options ask for what the decoder does not have.
    pub(crate) fn new(shape: DecoderShape, options: Options) -> Result<Self, Error> {
        let element = match options.dtype {
            DType::F32 => ElementType::F32,
            DType::BF16 => ElementType::Bf16,
            DType::F16 => ElementType::F16,
            dtype => return Err(Error::Dtype { dtype: format!("{dtype:?}").to_lowercase() }),
        };
        let patterns = |texts: &[String]| {
            texts.iter().map(|text| Pattern::new(text)).collect::<Result<Vec<_>, Error>>()
        };
        let frozen = patterns(&options.freeze)?;
        let whole =
            options.lora.as_ref().map_or(Ok(Vec::new()), |l| patterns(&l.modules_to_save))?;
        let mut decoder = Self { shape, options, element, frozen, whole, adapted: BTreeSet::new() };
        if let Some(lora) = decoder.options.lora.clone() {
            lora.check()?;
            decoder.adapted = targets(&lora.targets, &decoder.linears())?;
            decoder.check_whole()?;
            decoder.check_tied()?;
            decoder.check_dropout(&lora)?;
            if let AdapterWeights::Saved(adapter) = &lora.weights {
                adapter.check(&decoder.planned())?;
            }
        }
        decoder.check_frozen()?;
        Ok(decoder)
    }

    /// All modules in the order of the data flow.
    fn parts(&self) -> impl Iterator<Item = Part> {
        parts(self.shape.layers.len())
    }

    /// The paths of all matrices that are multiplied with.
    fn linears(&self) -> Vec<String> {
        let of_part = |part: Part| part.declare(&self.shape).linears(&part.name());
        self.parts().flat_map(of_part).map(|(path, _)| path).collect()
    }

    /// The paths of the matrices with an adapter.
    pub(crate) fn adapted(&self) -> &BTreeSet<String> {
        &self.adapted
    }

    /// The paths of the modules that are trained whole beside the adapters, in the model's order.
    pub(crate) fn trained_whole(&self) -> Vec<String> {
        let saved = self.planned().into_iter().filter(|p| p.is_in_adapter && !p.is_adapter);
        let mut paths: Vec<String> =
            saved.filter_map(|p| Some(p.declared.name.rsplit_once('.')?.0.to_owned())).collect();
        paths.dedup();
        paths
    }

    /// All parameters of the model, those that stages share more than once.
    pub(crate) fn planned(&self) -> Vec<Planned> {
        self.parts().flat_map(|part| self.parameters(part)).collect()
    }

    /// Every module that is to be trained whole is there.
    fn check_whole(&self) -> Result<(), Error> {
        let names: Vec<String> = self.planned().into_iter().map(|p| p.declared.name).collect();
        let modules = || names.iter().filter_map(|name| Some(name.rsplit_once('.')?.0));
        match self.whole.iter().find(|pattern| !modules().any(|path| matches_end(pattern, path))) {
            Some(pattern) => Err(Error::NoModule {
                pattern: pattern.text().to_owned(),
                nearest: nearest(pattern.text(), modules()).map(str::to_owned),
            }),
            None => Ok(()),
        }
    }

    /// The two ends are not adapted apart where they are one matrix.
    fn check_tied(&self) -> Result<(), Error> {
        let ends = [Part::Embedding, Part::Head].map(Part::name);
        let is_meant = |end: &&String| {
            self.adapted.contains(*end) || self.whole.iter().any(|whole| matches_end(whole, end))
        };
        match ends.iter().find(is_meant).filter(|_| self.shape.is_tied) {
            Some(module) => Err(Error::TiedAdapter { module: module.clone() }),
            None => Ok(()),
        }
    }

    /// The rows that an expert sees are tokens of all the batch's rows, among which no row has a
    /// mask of its own.
    fn check_dropout(&self, lora: &Lora) -> Result<(), Error> {
        let of_expert = self.adapted.iter().find(|path| path.contains(".experts."));
        match of_expert.filter(|_| lora.dropout > 0.0) {
            Some(module) => Err(Error::ExpertDropout { module: module.clone() }),
            None => Ok(()),
        }
    }

    /// Every pattern freezes something.
    fn check_frozen(&self) -> Result<(), Error> {
        if self.frozen.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = self.planned().into_iter().map(|p| p.declared.name).collect();
        for pattern in &self.frozen {
            if !names.iter().any(|name| pattern.covers(name)) {
                let modules: Vec<String> = self.parts().map(Part::name).collect();
                let known = names.iter().chain(&modules).map(String::as_str);
                return Err(Error::NothingToFreeze {
                    pattern: pattern.text().to_owned(),
                    nearest: nearest(pattern.text(), known).map(str::to_owned),
                });
            }
        }
        Ok(())
    }

    /// Whether the checkpoint has exactly the decoder's parameters. A head of its own beside tied
    /// weights is passed over, as transformers does.
    pub(crate) fn check(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let planned = self.planned();
        let own = planned.iter().filter(|p| p.shared_with.is_none() && !p.is_adapter);
        let own = own.map(|p| (p.declared.name.as_str(), p.declared.shape.as_slice()));
        let shared = planned.iter().filter(|p| p.shared_with.is_some());
        let shared: Vec<&str> = shared.map(|p| p.declared.name.as_str()).collect();
        checkpoint.check(own, &shared)
    }
}
