//! Messages between processes: files in a folder of the communicator, which the last end removes.
//!
//! A message leaves when its sender's stream comes to it, and is taken when its receiver's does.

use std::path::PathBuf;

use super::Id;

/// The folder by which the ends of a communicator reach each other.
pub(super) struct Mail {
    folder: PathBuf,
    size: usize,
}

impl Mail {
    pub(super) fn new(id: &Id, size: usize) -> Self {
        let name: String = id[..24].iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = std::env::temp_dir().join("autopipe-emulator").join(format!("nccl-{name}"));
        Self { folder, size }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whoever finds a file finds all of it.
    fn write(&self, name: &str, bytes: &[u8]) {
        let own = self.path(&format!("{name}.{}", std::process::id()));
        let written = std::fs::create_dir_all(&self.folder)
            .and_then(|()| std::fs::write(&own, bytes))
            .and_then(|()| std::fs::rename(&own, self.path(name)));
        if let Err(error) = written {
            crate::fault(&format!("NCCL: {} cannot be written: {error}", own.display()));
        }
    }

    /// A rank is there, on a device.
    pub(super) fn join(&self, rank: usize, device: usize) {
        self.write(&format!("rank-{rank}"), device.to_string().as_bytes());
    }

    /// The device of a rank that is there.
    pub(super) fn device_of(&self, rank: usize) -> Option<usize> {
        std::fs::read_to_string(self.path(&format!("rank-{rank}"))).ok()?.parse().ok()
    }

    /// A rank has no more to do with it.
    pub(super) fn leave(&self, rank: usize) {
        self.write(&format!("left-{rank}"), &[]);
        let has_left = |rank| self.path(&format!("left-{rank}")).exists();
        if (0..self.size).all(has_left) {
            // Another that has left may be at the same.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    pub(super) fn send(&self, (from, to): (usize, usize), number: u64, bytes: &[u8]) {
        self.write(&format!("from-{from}-to-{to}-{number}"), bytes);
    }

    /// A message, if it has come.
    pub(super) fn receive(&self, (from, to): (usize, usize), number: u64) -> Option<Vec<u8>> {
        let path = self.path(&format!("from-{from}-to-{to}-{number}"));
        let bytes = std::fs::read(&path).ok()?;
        // One that stays is removed with the folder.
        let _ = std::fs::remove_file(&path);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_order_and_whole() {
        let mut id = [0; 128];
        id[..4].copy_from_slice(&std::process::id().to_le_bytes());
        let mail = Mail::new(&id, 2);
        mail.join(1, 5);
        assert_eq!((mail.device_of(0), mail.device_of(1)), (None, Some(5)));
        mail.send((0, 1), 0, b"first");
        mail.send((0, 1), 1, b"second");
        assert_eq!(mail.receive((0, 1), 1).unwrap(), b"second");
        assert_eq!(mail.receive((0, 1), 0).unwrap(), b"first");
        assert_eq!(mail.receive((0, 1), 0), None);
        mail.leave(0);
        assert!(mail.folder.exists());
        mail.leave(1);
        assert!(!mail.folder.exists());
    }
}
