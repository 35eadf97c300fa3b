//! What else stands in NeMo's recipes, accepted where it says what happens anyway.

use crate::{
    choice::choices,
    section::{Field as _, Fixed, Kind as _, Natural, Only, Section, Target, Text},
};

choices! {
    /// A recipe of NeMo's.
    enum Program("`recipe`") {
        /// Training with the next token as the label.
        NextToken = "TrainFinetuneRecipeForNextTokenPrediction"
            | "nemo_automodel.recipes.llm.train_ft.TrainFinetuneRecipeForNextTokenPrediction",
    }
}

choices! {
    /// What hands out batches.
    enum DataLoader("`_target_`") {
        /// One that can be taken up in the middle.
        Stateful = "torchdata.stateful_dataloader.StatefulDataLoader",
        /// torch's own.
        Torch = "torch.utils.data.DataLoader",
    }
}

choices! {
    /// How samples become a batch.
    enum Collate("`collate_fn`") {
        /// Side by side.
        Default = "nemo_automodel.components.datasets.utils.default_collater"
            | "torch.utils.data.default_collate",
    }
}

const ROOT: &[Fixed] = &[
    Fixed {
        key: "validation_dataloader",
        only: &[],
        reason: "what is evaluated on is `validation_dataset`, in batches of `local_batch_size`",
    },
    Fixed {
        key: "wandb",
        only: &[],
        reason: "metrics are written to `metrics.jsonl` and for TensorBoard",
    },
    Fixed {
        key: "mlflow",
        only: &[],
        reason: "metrics are written to `metrics.jsonl` and for TensorBoard",
    },
    Fixed { key: "benchmark", only: &[], reason: "every run measures its steps" },
    Fixed { key: "compile", only: &[Only::Disabled], reason: "nothing is compiled" },
    Fixed { key: "fp8", only: &[Only::Disabled], reason: "there is no arithmetic of 8 bits" },
    Fixed { key: "quantization", only: &[], reason: "weights are not quantised" },
    Fixed { key: "parallelizer", only: &[], reason: "there are no experts to set up" },
];

const DATALOADER: &[Fixed] = &[
    Fixed {
        key: "shuffle",
        only: &[Only::Flag(true)],
        reason: "whether each epoch has its own order says `dataset.shuffle`",
    },
    Fixed {
        key: "drop_last",
        only: &[Only::Flag(true)],
        reason: "all steps have batches of one size; what is left goes into the next epoch",
    },
    Fixed {
        key: "num_workers",
        only: &[Only::Number(0)],
        reason: "one thread reads ahead, as `dataset.prefetch` says",
    },
    Fixed {
        key: "batch_size",
        only: &[],
        reason: "a batch has `step_scheduler.local_batch_size` samples",
    },
];

const COLLATE: &[Fixed] = &[Fixed {
    key: "pad_seq_len_divisible",
    only: &[],
    reason: "all rows have `dataset.seq_len` tokens",
}];

const PACKED: &[Fixed] = &[
    Fixed {
        key: "packed_sequence_size",
        only: &[Only::Number(0)],
        reason: "samples are packed into rows of `dataset.seq_len` tokens by `dataset.arrange: pack`",
    },
    Fixed {
        key: "split_across_pack",
        only: &[Only::Flag(false)],
        reason: "no sample is cut to fill a row",
    },
];

/// Reads what makes no difference. What is wrong is reported, and there is no value to miss.
pub(super) fn read(root: &mut Section<'_>) {
    let program = Target::<Program>::OF;
    let _ = root.either("recipe", "Which of NeMo's programs to run.", program, |section| {
        let _ = section.target::<Program>("Which of NeMo's programs to run.");
    });
    let _ = root.within("packed_sequence", "How samples are packed together.", |section| {
        section.fixed(PACKED);
    });
    let _ = root.within("dataloader", "How samples are handed out.", |section| {
        let _ = section.target::<DataLoader>("What hands out batches.");
        let doc = "How samples become a batch.";
        let _ = section.either("collate_fn", doc, Target::<Collate>::OF, |section| {
            let _ = section.target::<Collate>(doc);
            section.fixed(COLLATE);
        });
        section.fixed(DATALOADER);
    });
    root.fixed(ROOT);
    root.moved("autopipeline", "distributed.pipeline");
    read_environment(root);
}

/// Keys that are about the machinery around a run and change nothing in it, whatever they say.
fn read_environment(root: &mut Section<'_>) {
    let _ = root.within("dist_env", "How NeMo connects its processes.", |section| {
        let _ = Text.optional().read(section, "backend", "The library that connects them.");
        let doc = "How long one waits for another.";
        let _ = Natural.optional().read(section, "timeout_minutes", doc);
    });
    let _ = root.within("ci", "How NeMo tests the recipe.", Section::rest);
    for (key, help) in [
        ("dist_env", "how ranks are connected is said where the run is started"),
        ("ci", "it is about the tests of NeMo"),
    ] {
        if root.is_set(key) {
            root.warn(key, "the section has no effect", help);
        }
    }
}
