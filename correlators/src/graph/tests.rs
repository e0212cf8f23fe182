use proptest::prelude::*;

use super::*;

fn edges(list: &[(usize, usize, i32)]) -> Vec<Edge> {
    list.iter()
        .map(|&(from, to, weight)| Edge { from, to, weight })
        .collect()
}

#[test]
fn a_chain_is_as_firm_as_its_weakest_edge() {
    let found = cohesion(3, &edges(&[(0, 1, 9_000), (1, 2, 6_000), (0, 2, 1_000)]));
    assert_eq!(
        found,
        Cohesion {
            forest: vec![0, 1],
            weakest: Some(1),
            confidence: 50
        }
    );
}

#[test]
fn one_episode_needs_no_edge_and_two_without_one_are_not_held() {
    assert_eq!(cohesion(0, &[]).confidence, 100);
    assert_eq!(cohesion(1, &[]).confidence, 100);
    assert_eq!(cohesion(2, &[]).confidence, 0);
    let parts = cohesion(4, &edges(&[(0, 1, 9_000), (2, 3, 8_000)]));
    assert_eq!(
        (parts.forest, parts.weakest, parts.confidence),
        (vec![0, 1], Some(1), 0)
    );
}

#[test]
fn of_equal_edges_the_first_is_kept() {
    let found = cohesion(
        3,
        &edges(&[(0, 1, 7_000), (1, 2, 7_000), (2, 0, 7_000), (0, 1, 7_000)]),
    );
    assert_eq!((found.forest, found.weakest), (vec![0, 1], Some(1)));
}

#[test]
fn loops_and_ends_that_are_no_node_are_left_out() {
    let odd = edges(&[
        (0, 0, 9_000),
        (0, 7, 9_000),
        (usize::MAX, 1, 9_000),
        (0, 1, 5_000),
    ]);
    assert_eq!(cohesion(2, &odd).forest, vec![3]);
    assert_eq!(components(2, &odd), vec![vec![0, 1]]);
    assert_eq!(bridge_edges(2, &odd), vec![3]);
    assert!(articulation_nodes(2, &odd).is_empty());
}

#[test]
fn confidence_is_the_formula_rounded() {
    for bits in (-2_000..200_000).chain([i32::MIN, i32::MAX]) {
        let wanted = 100.0 * (1.0 - (-f64::from(bits.max(0)) / 6_000.0).exp2());
        let off = (f64::from(confidence(bits)) - wanted).abs();
        assert!(off <= 0.56, "{bits}: {} against {wanted}", confidence(bits));
    }
}

#[test]
fn long_chains_do_not_exhaust_the_stack() {
    let chain: Vec<Edge> = (1..50_000)
        .map(|to| Edge {
            from: to - 1,
            to,
            weight: 1,
        })
        .collect();
    assert_eq!(bridge_edges(50_000, &chain).len(), 49_999);
    assert_eq!(articulation_nodes(50_000, &chain).len(), 49_998);
    assert_eq!(components(50_000, &chain).len(), 1);
}

fn small_graph() -> impl Strategy<Value = (usize, Vec<Edge>)> {
    let edge = (0..7_usize, 0..7_usize, -2..5_i32);
    (0..7_usize, proptest::collection::vec(edge, 0..9))
        .prop_map(|(nodes, list)| (nodes, edges(&list)))
}

/// Components by relaxing labels until nothing changes.
fn slow_components(
    nodes: usize,
    edges: &[Edge],
    keep: impl Fn(usize, &Edge) -> bool,
) -> Vec<usize> {
    let mut label: Vec<usize> = (0..nodes).collect();
    for _ in 0..nodes {
        for (index, edge) in edges.iter().enumerate() {
            if edge.from < nodes && edge.to < nodes && keep(index, edge) {
                let low = label[edge.from].min(label[edge.to]);
                label[edge.from] = low;
                label[edge.to] = low;
            }
        }
    }
    label
}

fn num_labels(label: &[usize]) -> usize {
    label.iter().collect::<BTreeSet<_>>().len()
}

proptest! {
    #[test]
    fn components_are_those_of_brute_force((nodes, edges) in small_graph()) {
        let label = slow_components(nodes, &edges, |_, _| true);
        let parts = components(nodes, &edges);
        prop_assert_eq!(parts.len(), num_labels(&label));
        for part in parts {
            for &node in &part {
                prop_assert_eq!(label[node], part[0]);
            }
        }
    }

    #[test]
    fn bridges_are_the_edges_whose_loss_splits((nodes, edges) in small_graph()) {
        let before = num_labels(&slow_components(nodes, &edges, |_, _| true));
        let slow: Vec<usize> = (0..edges.len())
            .filter(|&gone| num_labels(&slow_components(nodes, &edges, |index, _| index != gone)) > before)
            .collect();
        prop_assert_eq!(bridge_edges(nodes, &edges), slow);
    }

    #[test]
    fn articulation_nodes_are_those_whose_loss_splits((nodes, edges) in small_graph()) {
        let before = num_labels(&slow_components(nodes, &edges, |_, _| true));
        let slow: Vec<usize> = (0..nodes)
            .filter(|&gone| {
                let label = slow_components(nodes, &edges, |_, edge| edge.from != gone && edge.to != gone);
                num_labels(&label) - 1 > before
            })
            .collect();
        prop_assert_eq!(articulation_nodes(nodes, &edges), slow);
    }

    #[test]
    fn no_spanning_forest_is_heavier((nodes, edges) in small_graph()) {
        let parts = num_labels(&slow_components(nodes, &edges, |_, _| true));
        let found = cohesion(nodes, &edges);
        let spans = |set: &[usize]| num_labels(&slow_components(nodes, &edges, |index, _| set.contains(&index))) == parts;
        let sum = |set: &[usize]| set.iter().map(|&index| edges[index].weight).sum::<i32>();
        prop_assert!(spans(&found.forest));
        prop_assert_eq!(found.forest.len(), nodes - parts);
        let mut best = i32::MIN;
        for mask in 0..1_usize << edges.len() {
            let set: Vec<usize> = (0..edges.len()).filter(|index| mask >> index & 1 == 1).collect();
            if set.len() == nodes - parts && spans(&set) {
                best = best.max(sum(&set));
            }
        }
        prop_assert_eq!(sum(&found.forest), best);
        let weakest = found.forest.iter().map(|&index| edges[index].weight).min();
        prop_assert_eq!(found.weakest.map(|index| edges[index].weight), weakest);
    }
}
