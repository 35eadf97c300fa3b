//! The key or section `loss_fn`: what is minimised.

use crate::{
    LossName,
    choice::choices,
    section::{Fixed, Name, Only, Reported, Section},
};

choices! {
    /// A loss of NeMo.
    enum LossTarget("`_target_`") {
        /// What [`LossName::MaskedCrossEntropy`] is. The others compute the same number in another
        /// way: by parts of the batch, without the logits, or over parts of the vocabulary.
        MaskedCrossEntropy = "nemo_automodel.components.loss.masked_ce.MaskedCrossEntropy"
            | "nemo_automodel.components.loss.chunked_ce.ChunkedCrossEntropy"
            | "nemo_automodel.components.loss.linear_ce.FusedLinearCrossEntropy"
            | "nemo_automodel.components.loss.te_parallel_ce.TEParallelCrossEntropy",
    }
}

const FIXED: &[Fixed] = &[
    Fixed {
        key: "fp32_upcast",
        only: &[Only::Flag(true)],
        reason: "the loss is computed in float32",
    },
    Fixed {
        key: "ignore_index",
        only: &[Only::Number(-100)],
        reason: "labels that do not count are -100",
    },
    Fixed {
        key: "logit_softcapping",
        only: &[Only::Number(0)],
        reason: "logits are as the model makes them",
    },
    Fixed {
        key: "reduction",
        only: &[Only::Text("sum")],
        reason: "the loss is the sum over all labels, divided by their number in the whole step",
    },
];

const DOC: &str = "What is minimised: a name, or NeMo's section with `_target_`.";

pub(super) fn read(root: &mut Section<'_>) -> Result<LossName, Reported> {
    let (name, target) = root.either("loss_fn", DOC, Name::<LossName>::OF, |section| {
        let target = section.target::<LossTarget>("A loss of NeMo.");
        section.fixed(FIXED);
        match target? {
            None if !section.is_empty() => {
                Err(section.refuse("_target_", "nothing says which loss", "add `_target_`"))
            }
            target => Ok(target),
        }
    })?;
    let target = target?.map(|LossTarget::MaskedCrossEntropy| LossName::MaskedCrossEntropy);
    Ok(name.or(target).unwrap_or(LossName::MaskedCrossEntropy))
}
