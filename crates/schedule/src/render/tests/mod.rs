//! What the pictures of small schedules say, and that large or odd ones stay in order.

mod look;
mod trace;

use serde_json::Value;

use super::{Chart, escaped, html, json, report, svg};
use crate::csv::read_plan;
use crate::{
    Analysis, Costs, Extent, Kind, Timeline, analyze, generate, lower, simulate, validate,
};

fn drawn(plan: &str, latency: f64) -> (Timeline, Analysis) {
    let plan = read_plan(plan.as_bytes()).unwrap();
    let cost = Costs::uniform(1.0, 1.0, 1.0, latency).unwrap();
    let timeline = simulate(&validate(lower(&plan)).unwrap(), &cost);
    let analysis = analyze(&timeline, &cost);
    (timeline, analysis)
}

/// Two ranks, two microbatches, 1F1B.
fn small(latency: f64) -> (Timeline, Analysis) {
    drawn("0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n", latency)
}

fn chart<'a>(title: &'a str, (timeline, analysis): &'a (Timeline, Analysis)) -> Chart<'a> {
    Chart { title, timeline, analysis }
}

#[test]
fn a_small_picture() {
    let small = small(0.0);
    insta::assert_snapshot!(svg(&[chart("1F1B", &small)]));
}

#[test]
fn a_label_is_drawn_where_it_fits() {
    let short_one = drawn("0F0,0B0\n", 0.0);
    let picture = svg(&[chart("a", &short_one)]);
    assert_eq!(picture.matches(">0F0</text>").count(), 1);
    let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 300 };
    let plan = generate(Kind::OneFOneB, &extent).unwrap();
    let timeline = simulate(&validate(lower(&plan)).unwrap(), &Costs::UNIT);
    let analysis = analyze(&timeline, &Costs::UNIT);
    let picture = svg(&[Chart { title: "a", timeline: &timeline, analysis: &analysis }]);
    assert!(!picture.contains(">0F0</text>"), "900 boxes share 2400 pixels");
    assert!(picture.contains("<path class=\"F\""), "but are drawn");
}

#[test]
fn pictures_share_one_time_axis() {
    let (short_one, long) = (drawn("0F0,0B0\n", 0.0), drawn("0F0,0F1,0F2,0B0,0B1,0B2\n", 0.0));
    let picture = svg(&[chart("short", &short_one), chart("long", &long)]);
    let width = |action: &str| -> f64 {
        let from = picture.find(&format!("<title>{action}, 0 to ")).unwrap();
        let rest = &picture[from..];
        let from = rest.find("width=\"").unwrap() + "width=\"".len();
        rest[from..].split('"').next().unwrap().parse().unwrap()
    };
    // The first box found is the short one's; the same width is that of the long one's.
    assert_eq!(picture.matches("<title>0F0, 0 to 1</title>").count(), 2);
    let boxes = picture.matches(&format!("width=\"{}\" height=\"20\" rx", width("0F0"))).count();
    assert_eq!(boxes, 1 + 3, "all four forwards are as wide as one");
}

#[test]
fn titles_are_text_and_nothing_else() {
    let small = small(0.0);
    let title = "a\"'&</script><script>alert(1)</script><!--\u{0}\n";
    let chart = chart(title, &small);
    for picture in [svg(&[chart]), html(&[chart])] {
        assert!(!picture.contains("<script>alert"), "{picture}");
        assert!(!picture.contains("<!--"));
        assert!(!picture.contains('\u{0}'));
    }
    assert_eq!(html(&[chart]).matches("</script>").count(), 2, "the data's and the program's own");
    let trace: Value = serde_json::from_str(&super::trace(&chart)).unwrap();
    assert_eq!(trace["traceEvents"][0]["args"]["name"], title);
    assert_eq!(escaped("<a href='b'>\u{1}"), "&lt;a href=&#39;b&#39;&gt; ");
}

#[test]
fn the_page_needs_no_network() {
    let small = small(0.0);
    let page = html(&[chart("1F1B", &small)]);
    for outside in ["http://", "https://", "src=", "@import", "url(", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_page_embeds_the_timeline() {
    let small = small(0.5);
    let page = html(&[chart("1F1B", &small), chart("again", &small)]);
    let from = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    let data = page[from..].split("</script>").next().unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&data[0]["title"], &data[1]["title"]), (&"1F1B".into(), &"again".into()));
    let rank = &data[0]["ranks"][1];
    let text: Vec<&str> = rank["actions"].as_str().unwrap().split(' ').collect();
    let (timeline, analysis) = &small;
    let row = &timeline.rows()[1];
    let actions: Vec<String> = row.iter().map(|span| span.action.to_string()).collect();
    assert_eq!(text, actions);
    assert_eq!(rank["looks"].as_str().unwrap().len(), row.len());
    for (step, span) in row.iter().enumerate() {
        assert_eq!(rank["start"][step], span.start);
        assert_eq!(rank["end"][step], span.end);
        assert_eq!(
            rank["waits"][step].as_array().unwrap().len(),
            analysis.dependencies[1][step].len()
        );
    }
    assert_eq!(data[0]["critical"].as_array().unwrap().len(), analysis.critical_path.len());
}

#[test]
fn a_report_in_its_order() {
    let small = small(0.5);
    let chart = chart("1F1B", &small);
    let read: Value = serde_json::from_str(&json(&chart)).unwrap();
    let keys: Vec<&str> = read.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "title",
            "span",
            "makespan",
            "work",
            "bubble_rate",
            "peak_activations",
            "ranks",
            "critical_path"
        ]
    );
    // F, message, F and B on the second rank, message, B; twice the second B waits for the first.
    assert_eq!(read["makespan"], small.0.makespan());
    assert_eq!(read["peak_activations"], serde_json::json!([2, 1]));
    assert_eq!(read["ranks"][1]["work"], 6.0);
    assert_eq!(read["ranks"][1]["idle"], small.0.makespan() - 6.0);
    let path = read["critical_path"].as_array().unwrap();
    assert_eq!(path[0]["action"], "0F0");
    assert_eq!(path.last().unwrap()["action"], "0B1");
    assert_eq!(report(&chart).ranks.len(), 2);
}

#[test]
fn nothing_can_be_drawn_too() {
    let empty = drawn("0F0\n", 0.0);
    assert!(svg(&[]).starts_with("<svg"));
    assert!(html(&[]).contains("<main>"));
    assert!(svg(&[chart("", &empty)]).contains("0F0"));
    // A measured timeline may have ranks that did nothing, and an analysis may be another's.
    let other = small(0.0);
    let mixed = Chart { title: "", timeline: &other.0, analysis: &empty.1 };
    assert!(super::trace(&mixed).contains("0F0"));
    assert!(html(&[mixed]).contains("0F0"));
    assert!(svg(&[mixed]).contains("0F0"));
    assert!(json(&mixed).contains("\"makespan\""));
}
