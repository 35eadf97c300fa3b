//! The digest by which torch's tables are recorded.

use sha2::{Digest, Sha256};

/// The first 24 hexadecimal digits.
pub(crate) fn short(text: &str) -> String {
    Sha256::digest(text).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}
