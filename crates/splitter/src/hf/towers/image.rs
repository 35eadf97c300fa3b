//! How large an image is, in patches.

use crate::hf::HfProblem;
use crate::hf::fields::{Fields, MAX_FACTOR, MAX_SIZE};

/// The side of an image where a config takes images of any size, in pixels.
const ANY_SIZE: usize = 448;

/// The patches that an image is cut into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patches {
    pub(super) num: usize,
    /// The side of a patch in pixels.
    pub(super) side: usize,
    pub(super) num_channels: usize,
}

impl Patches {
    /// From `image_size`, a side or height and width, and `patch_size`.
    pub(super) fn read(fields: &Fields<'_>, image_side: usize, side: usize) -> Self {
        let side = fields.range("patch_size", 1, MAX_FACTOR).unwrap_or(side);
        let num_channels = fields.range("num_channels", 1, MAX_FACTOR).unwrap_or(3);
        let sides = match fields.get("image_size") {
            Some(value) if value.is_array() => fields
                .list("image_size", "a number of pixels, or two of them", |side| {
                    let side = usize::try_from(side.as_u64()?).ok()?;
                    (1..=MAX_SIZE).contains(&side).then_some(side)
                })
                .map_or([image_side; 2], |sides| match sides[..] {
                    [height, width] => [height, width],
                    _ => {
                        let value = format!("a list of {}", sides.len());
                        let expected = "a number of pixels, or two of them".to_owned();
                        fields.refuse_shown("image_size", value, expected);
                        [image_side; 2]
                    }
                }),
            _ => [fields.size("image_size", image_side); 2],
        };
        let [rows, columns] = sides.map(|size| size / side);
        if rows == 0 || columns == 0 {
            let key = fields.key("image_size");
            let value = sides[0].min(sides[1]).to_string();
            fields.report(HfProblem::Size { key, value, min: side, max: MAX_SIZE });
        }
        Self { num: (rows * columns).max(1), side, num_channels }
    }

    /// Of an image of 448 by 448 pixels, where the config takes any.
    pub(super) fn of_any_image(fields: &Fields<'_>, side: usize) -> Self {
        let side = fields.range("patch_size", 1, ANY_SIZE).unwrap_or(side);
        let num_channels = fields.range("in_channels", 1, MAX_FACTOR).unwrap_or(3);
        let num = (ANY_SIZE / side) * (ANY_SIZE / side);
        Self { num, side, num_channels }
    }
}
