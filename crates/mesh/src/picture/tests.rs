//! Tests of the drawing, by drawing.

use crate::{Axis, DeviceMesh, MeshSizes};

#[test]
fn the_drawing_of_the_readme() {
    let sizes = MeshSizes { pp: 2, tp: 2, ..MeshSizes::default() };
    let mesh = DeviceMesh::for_training(8, &sizes).unwrap();
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&format!("```text\n{mesh}```")), "{mesh}");
}

#[test]
fn one_axis_is_a_column() {
    let mesh = DeviceMesh::new([("pp", 3), ("tp", 1)]).unwrap();
    assert_eq!(mesh.to_string(), "3 ranks: pp 3 x tp 1\npp 0  0\npp 1  1\npp 2  2\n");
}

#[test]
fn one_rank_is_no_table() {
    let mesh = DeviceMesh::for_training(4, &MeshSizes { pp: 4, ..MeshSizes::default() }).unwrap();
    let part = mesh.submesh(&[Axis::TP, Axis::CP], 3).unwrap();
    assert_eq!(part.to_string(), "1 rank: tp 1 x cp 1\nrank 3\n");
}

#[test]
fn a_sub_mesh_shows_the_global_ranks() {
    let mesh = DeviceMesh::new([("pp", 2), ("cp", 5), ("tp", 2)]).unwrap();
    let part = mesh.submesh(&[Axis::TP, Axis::PP], 15).unwrap();
    let drawing = "\
4 ranks: tp 2 x pp 2
      pp 0  pp 1
tp 0  4     14
tp 1  5     15
";
    assert_eq!(part.to_string(), drawing);
}

#[test]
fn a_large_mesh_is_drawn_in_part() {
    let mesh = DeviceMesh::new([("pp", 1024), ("tp", 1024)]).unwrap();
    let drawing = mesh.to_string();
    assert_eq!(drawing.lines().count(), 1 + 1 + 16 + 1);
    assert!(drawing.ends_with("and 1008 more rows, 1008 more columns\n"), "{drawing}");
    let wide = DeviceMesh::new([("pp", 2), ("tp", 20)]).unwrap().to_string();
    assert!(wide.ends_with("and 4 more columns\n"), "{wide}");
}
