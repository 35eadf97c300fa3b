//! Prints the JSON schema of a recipe: `cargo run -q -p autopipe-config --example schema`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{:#}", autopipe_config::schema())
}
