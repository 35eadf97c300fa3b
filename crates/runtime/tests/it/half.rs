//! A network of half precision over two stages: its gradients are float32, and those of the unsplit
//! network.

use autopipe_nn::Parameters;
use autopipe_runtime::{Batch, Keywords, StageModel};
use autopipe_schedule::Kind;
use candle_core::{DType, Tensor};

use crate::net::{batch, grads, loss, named};
use crate::tied_net::{NUM_LAYERS, TiedNet, Used, merged, run};

/// Plain products of half precision are not everywhere: the matrix is used by layers alone.
const ENDS: Used = Used([true, false, true]);

fn in_dtype(batch: &Batch, dtype: DType) -> Batch {
    let cast = |tensors: &[Tensor]| tensors[0].to_dtype(dtype).unwrap();
    let target = batch.target.as_ref().unwrap().tensors();
    Batch::new(cast(batch.inputs[0].tensors()), cast(target)).with_loss_scale(batch.loss_scale)
}

fn assert_float32(parameters: &Parameters, dtype: DType) {
    for parameter in parameters {
        assert_eq!(parameter.dtype(), dtype);
        assert_eq!(parameter.grad().map(|grad| grad.dtype()), Some(DType::F32));
    }
}

#[test]
fn half_precision_trains_with_float32_gradients() {
    for dtype in [DType::BF16, DType::F16] {
        let whole = in_dtype(&batch(4), dtype);
        let ranks = run(
            &named(Kind::OneFOneB, 2, 2),
            |_, layers| TiedNet::new(layers, ENDS, dtype),
            |worker| {
                worker.step(&whole)?;
                worker.step(&whole)?;
                worker.stages().for_each(|(_, parameters)| assert_float32(parameters, dtype));
                Ok(grads(worker.stages().map(|(_, parameters)| parameters)))
            },
        );
        let got = merged(ranks.unwrap());

        // The same microbatches one after the other, so that the same numbers are rounded.
        let net = TiedNet::new(0..NUM_LAYERS, ENDS, dtype);
        for row in [0, 2, 0, 2] {
            let part = |tensor: &Tensor| tensor.narrow(0, row, 2).unwrap().contiguous().unwrap();
            let inputs = [part(&whole.inputs[0].tensors()[0])];
            let outputs = net.forward(&inputs, &Keywords::new()).unwrap();
            let target = part(&whole.target.as_ref().unwrap().tensors()[0]);
            let loss = (loss()(&outputs, &target).unwrap() * whole.loss_scale).unwrap();
            net.parameters().collect(&mut loss.backward().unwrap()).unwrap();
        }
        assert_float32(net.parameters(), dtype);
        let expected = grads([net.parameters()]);
        assert!(got.keys().eq(expected.keys()));
        for (name, expected) in &expected {
            let largest = expected.iter().fold(0.0, |most: f64, grad| most.max(grad.abs()));
            assert!(largest > 0.0, "{name}");
            for (got, expected) in got[name].iter().zip(expected) {
                // Float32 sums in another order.
                let difference = (got - expected).abs();
                assert!(difference <= 1e-5 * largest, "{dtype:?} {name}: {got} for {expected}");
            }
        }
    }
}
