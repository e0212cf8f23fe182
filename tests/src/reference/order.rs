//! The order of tactics in bits, row before column, and their phases.

/// Ids in the order of the rows, with their phase.
const TACTICS: [(&str, Option<usize>); 13] = [
    ("TA0043", Some(0)),
    ("TA0001", Some(1)),
    ("TA0002", Some(2)),
    ("TA0003", Some(2)),
    ("TA0004", Some(2)),
    ("TA0005", Some(2)),
    ("TA0006", Some(3)),
    ("TA0007", Some(3)),
    ("TA0008", Some(3)),
    ("TA0009", Some(4)),
    ("TA0011", None),
    ("TA0010", Some(5)),
    ("TA0040", Some(5)),
];

const BITS: &str = "
 0.0 -0.3 -0.4  0.4  0.0  0.9 -0.5  0.6  0.3  1.5 -0.3  2.0  1.6
 0.3  0.0  2.0  2.0  2.0  2.0  2.0  2.0  2.0  2.0  2.0  2.0  2.0
 0.4 -2.0  0.0  0.5  0.1  0.7  0.7  1.2  1.0  2.0  0.3  2.0  2.0
-0.4 -2.0 -0.5  0.0 -0.8  0.6  0.3 -0.1  0.7  1.6  0.2  1.6  2.0
 0.0 -2.0 -0.1  0.8  0.0  1.3  0.4  0.5  1.6  1.7  1.0  1.9  2.0
-0.9 -2.0 -0.7 -0.6 -1.3  0.0  0.4  0.4  0.3  0.2 -0.7  0.8  1.9
 0.5 -2.0 -0.7 -0.3 -0.4 -0.4  0.0 -0.9  1.2  1.9 -0.6  2.0  1.9
-0.6 -2.0 -1.2  0.1 -0.5 -0.4  0.9  0.0  0.9  0.7 -0.8  1.2  1.4
-0.3 -2.0 -1.0 -0.7 -1.6 -0.3 -1.2 -0.9  0.0  1.1 -1.0  1.4  2.0
-1.5 -2.0 -2.0 -1.6 -1.7 -0.2 -1.9 -0.7 -1.1  0.0 -1.1  2.0  0.4
 0.3 -2.0 -0.3 -0.2 -1.0  0.7  0.6  0.8  1.0  1.1  0.0  1.5  1.5
-2.0 -2.0 -2.0 -1.6 -1.9 -0.8 -2.0 -1.2 -1.4 -2.0 -1.5  0.0  0.1
-1.6 -2.0 -2.0 -2.0 -2.0 -1.9 -1.9 -1.4 -2.0 -0.4 -1.5 -0.1  0.0
";

/// Returns the row of a tactic.
pub(super) fn row(uid: &str) -> Option<usize> {
    TACTICS.iter().position(|(known, _)| *known == uid)
}

/// Returns the phase of a row.
pub(super) const fn phase(row: usize) -> Option<usize> {
    TACTICS[row].1
}

/// Returns the row of command and control.
pub(super) const COMMAND: usize = 10;

/// Returns the greatest evidence over all pairs; 0 without one.
pub(super) fn best(first: &[usize], second: &[usize]) -> f64 {
    let pairs = first
        .iter()
        .flat_map(|a| second.iter().map(move |b| bits(*a, *b)));
    pairs.reduce(f64::max).unwrap_or(0.0)
}

/// Returns the mean evidence over the pairs of two different tactics; 0 without one.
pub(super) fn mean(first: &[usize], second: &[usize]) -> f64 {
    let pairs: Vec<f64> = first
        .iter()
        .flat_map(|a| second.iter().map(move |b| (*a, *b)))
        .filter(|(a, b)| a != b)
        .map(|(a, b)| bits(a, b))
        .collect();
    let count = f64::from(u32::try_from(pairs.len().max(1)).unwrap());
    pairs.iter().sum::<f64>() / count
}

fn bits(a: usize, b: usize) -> f64 {
    let line = BITS.trim().lines().nth(a).unwrap();
    line.split_whitespace().nth(b).unwrap().parse().unwrap()
}
