//! Tests of the drawing, by drawing.

use crate::{Axis, DeviceMesh, MeshSizes};

#[test]
fn the_drawings_of_the_readme() {
    let readme = include_str!("../../README.md");
    let sizes = MeshSizes { pp: 2, tp: 2, ep: 4, ..MeshSizes::default() };
    let mesh = DeviceMesh::for_training(8, &sizes).unwrap();
    assert!(readme.contains(&format!("```text\n{mesh}```")), "{mesh}");
    let mesh = DeviceMesh::for_training(16, &sizes).unwrap();
    let experts = mesh.expert_mesh(&Axis::PP, sizes.ep, 9).unwrap();
    assert!(readme.contains(&format!("```text\n{experts}```")), "{experts}");
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
fn a_label_of_a_slow_axis_takes_the_room_of_its_columns() {
    let mesh = DeviceMesh::new([("pp", 2), ("dp_replicate", 2), ("cp", 2), ("tp", 2)]).unwrap();
    let drawing = "\
16 ranks: pp 2 x dp_replicate 2 x cp 2 x tp 2
      dp_replicate 0          dp_replicate 1
      cp 0        cp 1        cp 0        cp 1
      tp 0  tp 1  tp 0  tp 1  tp 0  tp 1  tp 0  tp 1
pp 0  0     1     2     3     4     5     6     7
pp 1  8     9     10    11    12    13    14    15
";
    assert_eq!(mesh.to_string(), drawing);
}

#[test]
fn a_label_longer_than_its_columns_widens_them() {
    let mesh = DeviceMesh::new([("a", 2), ("replica_of_it_all", 2), ("z", 2)]).unwrap();
    let drawing = "\
8 ranks: a 2 x replica_of_it_all 2 x z 2
     replica_of_it_all 0   replica_of_it_all 1
     z 0        z 1        z 0        z 1
a 0  0          1          2          3
a 1  4          5          6          7
";
    assert_eq!(mesh.to_string(), drawing);
}

#[test]
fn axes_that_are_too_many_columns_go_down() {
    let mesh = DeviceMesh::new([("pp", 2), ("dp_shard", 3), ("tp", 8)]).unwrap();
    let drawing = "\
48 ranks: pp 2 x dp_shard 3 x tp 8
                  tp 0  tp 1  tp 2  tp 3  tp 4  tp 5  tp 6  tp 7
pp 0  dp_shard 0  0     1     2     3     4     5     6     7
      dp_shard 1  8     9     10    11    12    13    14    15
      dp_shard 2  16    17    18    19    20    21    22    23
pp 1  dp_shard 0  24    25    26    27    28    29    30    31
      dp_shard 1  32    33    34    35    36    37    38    39
      dp_shard 2  40    41    42    43    44    45    46    47
";
    assert_eq!(mesh.to_string(), drawing);
}

#[test]
fn a_large_mesh_is_drawn_with_its_first_ranks_and_its_last() {
    let mesh = DeviceMesh::new([("pp", 1024), ("tp", 1024)]).unwrap();
    let drawing = mesh.to_string();
    assert_eq!(drawing.lines().count(), 1 + 1 + 32 + 1);
    assert!(drawing.contains("\npp 29    29696    29697    "), "{drawing}");
    assert!(drawing.ends_with("  1048575\n993 rows and 1009 columns left out\n"), "{drawing}");

    let wide = DeviceMesh::new([("pp", 2), ("x", 17)]).unwrap().to_string();
    let drawing = "\
34 ranks: pp 2 x x 17
      x 0   x 1   x 2   x 3   x 4   x 5   x 6   x 7   x 8   x 9   x 10  x 11  x 12  x 13        x 16
pp 0  0     1     2     3     4     5     6     7     8     9     10    11    12    13    ..    16
pp 1  17    18    19    20    21    22    23    24    25    26    27    28    29    30    ..    33
2 columns left out
";
    assert_eq!(wide, drawing);

    let high = DeviceMesh::new([("pp", 5), ("dp", 7), ("tp", 4)]).unwrap().to_string();
    assert!(high.ends_with(
        "      ..    ..    ..    ..\npp 4  dp 6  136   137   138   139\n4 rows left out\n"
    ));
}

#[test]
fn a_mesh_that_just_fits_is_drawn_whole() {
    let lines = |mesh: DeviceMesh| mesh.to_string().lines().count();
    assert_eq!(lines(DeviceMesh::new([("pp", 32)]).unwrap()), 1 + 32);
    assert_eq!(lines(DeviceMesh::new([("pp", 2), ("tp", 16)]).unwrap()), 1 + 1 + 2);
    assert_eq!(lines(DeviceMesh::new([("pp", 2), ("dp", 2), ("tp", 8)]).unwrap()), 1 + 2 + 2);
}

#[test]
fn a_name_of_any_length_is_drawn() {
    let long = "x".repeat(70_000);
    for axes in [[long.clone(), "y".into()], ["y".into(), long.clone()]] {
        let drawing = DeviceMesh::new(axes.map(|axis| (axis, 2))).unwrap().to_string();
        assert!(drawing.contains(&format!("{long} 1")) && drawing.ends_with("3\n"));
    }
}

#[test]
fn a_list_of_ranks_is_drawn_as_given() {
    let mesh = DeviceMesh::new([("pp", 2), ("x", 2)]).unwrap();
    let drawing = "\
4 ranks: pp 2 x x 2
      x 0    x 1
pp 0  70000  3
pp 1  1      2
";
    assert_eq!(mesh.with_ranks(&[70000, 3, 1, 2]).unwrap().to_string(), drawing);
}
