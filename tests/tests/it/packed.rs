//! Rows packed from documents: however they are split and scheduled, gradients are those of the
//! unsplit model.

use autopipe::schedule::Kind;
use autopipe::{Batch, PipelineConfig};
use candle_core::{Device, Tensor};

use crate::families::tied_apart;
use crate::pipeline::{assert_same, differences, llama, try_pipelined, unsplit};
use crate::reference::Reference;

/// A folder's batch of four rows as rows of several documents.
fn packed(reference: &Reference) -> Batch {
    let batch = reference.batch();
    let seq_len = batch.inputs[0].tensors()[0].dim(1).unwrap();
    let rows = [vec![5, seq_len - 5], vec![seq_len], vec![1, 8, seq_len - 9], vec![7, seq_len - 7]];
    let positions = rows.iter().flatten().flat_map(|&len| 0..u32::try_from(len).unwrap());
    let ids = Tensor::from_iter(positions, &Device::Cpu).unwrap().reshape((4, seq_len)).unwrap();
    batch.with_keyword("position_ids", ids)
}

fn config(kind: Kind, microbatch_size: usize) -> PipelineConfig {
    PipelineConfig {
        pp_schedule: Some(kind.name().to_owned()),
        pp_batch_size: 4,
        pp_microbatch_size: microbatch_size,
        ..PipelineConfig::default()
    }
}

#[test]
fn every_schedule_cuts_the_positions_with_the_rows() {
    for name in ["llama", "gemma3_text", "qwen3_moe", "phi3_longrope_long"] {
        let reference = Reference::named(name);
        let (model, batch) = (reference.model().unwrap(), packed(&reference));
        let whole = unsplit(&*model, &batch).unwrap();
        // Documents make a difference.
        let rows = unsplit(&*model, &reference.batch()).unwrap();
        assert!(!differences(&whole, &rows, 1e-5, 1e-2).is_empty(), "{name}");
        for kind in Kind::ALL {
            let mut split = try_pipelined(&*model, &config(kind, 1), None, 2, &batch).unwrap();
            let mut found = tied_apart(&*model, &mut split);
            found.extend(differences(&split, &whole, 1e-5, 1e-5));
            assert!(found.is_empty(), "{name}, {kind}: {}", found.join("\n"));
        }
    }
}

#[test]
fn a_microbatch_may_have_several_packed_rows() {
    let (model, batch) = (llama(), packed(&Reference::named("llama")));
    let whole = unsplit(&*model, &batch).unwrap();
    let split = try_pipelined(&*model, &config(Kind::GPipe, 2), None, 2, &batch).unwrap();
    assert_same(&split, &whole, 1e-5, 1e-5);
}

#[test]
fn positions_that_are_no_documents_end_the_step_with_their_place() {
    let positions = Tensor::new(&[[0u32, 1, 2, 3, 4, 5, 6, 8]; 4], &Device::Cpu).unwrap();
    let ids = Tensor::zeros((4, 8), candle_core::DType::U32, &Device::Cpu).unwrap();
    let labels = Tensor::zeros((4, 8), candle_core::DType::I64, &Device::Cpu).unwrap();
    let batch = Batch::new(ids, labels).with_keyword("position_ids", positions);
    let error = try_pipelined(&*llama(), &config(Kind::OneFOneB, 1), None, 2, &batch);
    let message = error.err().unwrap().to_string();
    let expected = "`position_ids` of row 0 have 8 at token 7, expected 7, or 0 where another \
                    document begins";
    assert!(message.contains(expected), "{message}");
}
