//! The graph of one incident, built when asked for and never kept.
//!
//! Nodes are the incident's episodes, edges the links between them. No petgraph type leaves this file.

mod incident;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::articulation_points::articulation_points;
use petgraph::algo::bridges::bridges;
use petgraph::algo::min_spanning_tree;
use petgraph::data::Element;
use petgraph::graph::{NodeIndex, UnGraph};
use petgraph::unionfind::UnionFind;
use petgraph::visit::EdgeRef;

use crate::fixed::exp2_neg_milli;

pub use incident::{Loss, Structure, structure, weakest_entity, without};

/// One edge: evidence in milli-bits that two episodes belong together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Edge {
    /// Node from 0.
    pub from: usize,
    /// Node from 0.
    pub to: usize,
    /// Milli-bits.
    pub weight: i32,
}

/// How firmly a graph holds together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cohesion {
    /// Indices of the edges of the maximum spanning forest, ascending.
    pub forest: Vec<usize>,
    /// Index of the forest's weakest edge: the graph falls in two where it fails. None without an edge.
    pub weakest: Option<usize>,
    /// 0 to 100: [`confidence`] of the weakest edge; 100 for at most one node, 0 where no edge joins some part.
    pub confidence: i32,
}

/// Returns the maximum spanning forest of `nodes` nodes and what it says about cohesion.
///
/// Of equal edges the one given first is kept in the forest and the one given last is named weakest.
/// Loops and edges whose ends are no node are left out.
#[must_use]
pub fn cohesion(nodes: usize, edges: &[Edge]) -> Cohesion {
    let mut graph = UnGraph::<(), (Reverse<i32>, usize)>::with_capacity(nodes, edges.len());
    for _ in 0..nodes {
        graph.add_node(());
    }
    for (index, edge) in proper(nodes, edges) {
        graph.add_edge(
            NodeIndex::new(edge.from),
            NodeIndex::new(edge.to),
            (Reverse(edge.weight), index),
        );
    }
    let chosen = min_spanning_tree(&graph).filter_map(|element| match element {
        Element::Edge { weight, .. } => Some(weight),
        Element::Node { .. } => None,
    });
    let forest: BTreeMap<usize, i32> = chosen.map(|(Reverse(bits), index)| (index, bits)).collect();
    let weakest = forest
        .iter()
        .min_by_key(|&(&index, &bits)| (bits, Reverse(index)));
    let whole = forest.len() + 1 >= nodes;
    Cohesion {
        confidence: match weakest {
            _ if !whole => 0,
            None => 100,
            Some((_, &bits)) => confidence(bits),
        },
        weakest: weakest.map(|(&index, _)| index),
        forest: forest.into_keys().collect(),
    }
}

/// Returns `100 * (1 - 2^(-b/6))`, rounded half up, for `bits` milli-bits; 0 where they are negative.
#[must_use]
pub fn confidence(bits: i32) -> i32 {
    let doubt = exp2_neg_milli(bits / 6);
    i32::try_from((1_005 - doubt.min(1_000)) / 10).unwrap_or(0)
}

/// Returns the connected components, each ascending, in order of their first node.
#[must_use]
pub fn components(nodes: usize, edges: &[Edge]) -> Vec<Vec<usize>> {
    let mut sets = UnionFind::<usize>::new(nodes);
    for (_, edge) in proper(nodes, edges) {
        sets.union(edge.from, edge.to);
    }
    let mut first: BTreeMap<usize, usize> = BTreeMap::new();
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for node in 0..nodes {
        let part = *first.entry(sets.find_mut(node)).or_insert(parts.len());
        match parts.get_mut(part) {
            Some(members) => members.push(node),
            None => parts.push(vec![node]),
        }
    }
    parts
}

/// Returns the edges, ascending, that each join what those before them do not: a forest that takes them as they come.
#[must_use]
pub fn forest(nodes: usize, edges: &[Edge]) -> Vec<usize> {
    let mut sets = UnionFind::<usize>::new(nodes);
    proper(nodes, edges)
        .filter(|(_, edge)| sets.union(edge.from, edge.to))
        .map(|(index, _)| index)
        .collect()
}

/// Returns the edges without which their two ends would no longer be connected, ascending.
#[must_use]
pub fn bridge_edges(nodes: usize, edges: &[Edge]) -> Vec<usize> {
    // The algorithm is for simple graphs: of two edges between the same ends neither is a bridge.
    let mut pairs: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (index, edge) in proper(nodes, edges) {
        pairs.entry(ends(edge)).or_default().push(index);
    }
    let graph = simple(nodes, pairs.keys());
    let mut found: Vec<usize> = bridges(&graph)
        .filter_map(|edge| {
            let (a, b) = (edge.source().index(), edge.target().index());
            match pairs.get(&(a.min(b), a.max(b)))?.as_slice() {
                [only] => Some(*only),
                _ => None,
            }
        })
        .collect();
    found.sort_unstable();
    found
}

/// Returns the nodes without which the rest of their component would no longer be connected, ascending.
#[must_use]
pub fn articulation_nodes(nodes: usize, edges: &[Edge]) -> Vec<usize> {
    let pairs: BTreeSet<(usize, usize)> =
        proper(nodes, edges).map(|(_, edge)| ends(edge)).collect();
    let graph = simple(nodes, pairs.iter());
    let found: BTreeSet<usize> = articulation_points(&graph)
        .into_iter()
        .map(NodeIndex::index)
        .collect();
    found.into_iter().collect()
}

fn proper(nodes: usize, edges: &[Edge]) -> impl Iterator<Item = (usize, &Edge)> {
    edges
        .iter()
        .enumerate()
        .filter(move |(_, edge)| edge.from != edge.to && edge.from.max(edge.to) < nodes)
}

fn ends(edge: &Edge) -> (usize, usize) {
    (edge.from.min(edge.to), edge.from.max(edge.to))
}

fn simple<'a>(nodes: usize, pairs: impl Iterator<Item = &'a (usize, usize)>) -> UnGraph<(), ()> {
    let mut graph = UnGraph::with_capacity(nodes, 0);
    for _ in 0..nodes {
        graph.add_node(());
    }
    for &(a, b) in pairs {
        graph.add_edge(NodeIndex::new(a), NodeIndex::new(b), ());
    }
    graph
}

#[cfg(test)]
mod tests;
