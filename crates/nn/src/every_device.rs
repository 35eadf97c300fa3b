//! One body for all devices: an operation made of what every backend of candle has.

/// The forwards of a `CustomOp2` on each device, all by the same generic function
/// `fn(&S, &Layout, &S, &Layout) -> Result<(S, Shape)>`.
macro_rules! on_every_device {
    ($body:path) => {
        $crate::every_device::on_every_device!(@ $body, cpu_fwd, candle_core::CpuStorage);
        $crate::every_device::on_every_device!(@ $body, cuda_fwd, candle_core::CudaStorage);
        $crate::every_device::on_every_device!(@ $body, metal_fwd, candle_core::MetalStorage);
    };
    (@ $body:path, $name:ident, $storage:ty) => {
        fn $name(
            &self,
            a: &$storage,
            a_layout: &candle_core::Layout,
            b: &$storage,
            b_layout: &candle_core::Layout,
        ) -> candle_core::Result<($storage, candle_core::Shape)> {
            $body(a, a_layout, b, b_layout)
        }
    };
}

pub(crate) use on_every_device;
