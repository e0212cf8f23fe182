//! `fusor`, the command.

fn main() {}
