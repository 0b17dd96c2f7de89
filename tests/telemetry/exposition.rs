//! A strict reader of the text form: what a careful scraper could object to is a failure here.

use std::collections::{BTreeMap, HashSet};

type Labels = BTreeMap<String, String>;

/// A parsed text.
#[derive(Debug)]
pub struct Exposition {
    /// By metric.
    pub families: BTreeMap<String, Family>,
}

#[derive(Debug)]
pub struct Family {
    pub kind: String,
    pub help: Option<String>,
    /// Name, labels and value, in order.
    pub samples: Vec<(String, Labels, f64)>,
}

impl Exposition {
    pub fn parse(text: &str) -> Self {
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "the last line has no end"
        );
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current: Option<(String, Family)> = None;
        let mut help: Option<(String, String)> = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, text) = rest.split_once(' ').expect("a description has a text");
                assert!(help.is_none(), "two descriptions without a type: {line}");
                help = Some((name.to_owned(), text.to_owned()));
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type has a kind");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_name(name);
                close(&mut families, current.take());
                let help = help.take().map(|(of, text)| {
                    assert_eq!(of, name, "a description of another metric");
                    text
                });
                let family = Family {
                    kind: kind.to_owned(),
                    help,
                    samples: Vec::new(),
                };
                current = Some((name.to_owned(), family));
            } else {
                assert!(help.is_none(), "a sample between description and type: {line}");
                let (name, family) = current.as_mut().expect("a type comes first");
                let sample = sample(line);
                let suffixes: &[&str] = match family.kind.as_str() {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                let of_family = suffixes
                    .iter()
                    .any(|suffix| sample.0 == format!("{name}{suffix}"));
                assert!(of_family, "a sample of {name}: {line}");
                family.samples.push(sample);
            }
        }
        close(&mut families, current);
        Self { families }
    }

    /// The value of one sample; 0 when it is not there.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let family = name.trim_end_matches("_count").trim_end_matches("_sum");
        let family = self.families.get(family).or_else(|| self.families.get(name));
        let samples = family.map_or(&[][..], |family| &family.samples);
        samples
            .iter()
            .find(|(sample, labels, _)| sample == name && *labels == wanted)
            .map_or(0.0, |(_, _, value)| *value)
    }

    /// The sum over all labels.
    pub fn sum(&self, name: &str) -> f64 {
        self.families
            .values()
            .flat_map(|family| &family.samples)
            .filter(|(sample, ..)| sample == name)
            .map(|(.., value)| value)
            .sum()
    }
}

/// Ends a family: samples are unique, histograms whole.
fn close(families: &mut BTreeMap<String, Family>, family: Option<(String, Family)>) {
    let Some((name, family)) = family else { return };
    let mut seen = HashSet::new();
    for (sample, labels, value) in &family.samples {
        assert!(
            seen.insert((sample.clone(), labels.clone())),
            "{sample} {labels:?} twice"
        );
        assert!(family.kind == "gauge" || *value >= 0.0, "{sample} is {value}");
    }
    assert!(!family.samples.is_empty(), "{name} has no sample");
    if family.kind == "histogram" {
        check_histogram(&name, &family);
    }
    assert!(
        families.insert(name.clone(), family).is_none(),
        "{name} in two places"
    );
}

fn check_histogram(name: &str, family: &Family) {
    let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        let mut labels = labels.clone();
        let bound = labels.remove("le");
        assert_eq!(bound.is_some(), sample.ends_with("_bucket"), "{sample}");
        let buckets = series.entry(labels).or_default();
        if let Some(bound) = bound {
            buckets.push((number(&bound), *value));
        }
    }
    for (labels, buckets) in series {
        assert!(
            buckets
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1),
            "{name} {labels:?}: bounds and counts ascend: {buckets:?}"
        );
        let (bound, all) = buckets.last().copied().expect("there are buckets");
        assert_eq!(bound, f64::INFINITY, "{name} {labels:?}");
        let of = |suffix: &str| {
            let wanted = format!("{name}{suffix}");
            let mut found = family
                .samples
                .iter()
                .filter(|(sample, of, _)| *sample == wanted && *of == labels);
            found.next().unwrap_or_else(|| panic!("no {wanted} {labels:?}")).2
        };
        assert_eq!(of("_count"), all, "{name} {labels:?}");
        assert!(all > 0.0 || of("_sum") == 0.0, "{name} {labels:?}");
    }
}

fn sample(line: &str) -> (String, Labels, f64) {
    let name_end = line.find(['{', ' ']).expect("a sample has a value");
    let (name, rest) = line.split_at(name_end);
    assert_name(name);
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest),
        None => (Labels::new(), rest),
    };
    let value = value.strip_prefix(' ').expect("one blank before the value");
    (name.to_owned(), labels, number(value))
}

fn labels(mut rest: &str) -> (Labels, &str) {
    let mut labels = Labels::new();
    loop {
        let (name, after) = rest.split_once("=\"").expect("name and value");
        assert!(
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
            "label {name}"
        );
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().expect("a closing quote") {
                (at, '"') => break at,
                (_, '\\') => match chars.next().expect("something is escaped").1 {
                    'n' => value.push('\n'),
                    c @ ('"' | '\\') => value.push(c),
                    other => panic!("\\{other} is no escape"),
                },
                (_, c) => value.push(c),
            }
        };
        assert!(
            labels.insert(name.to_owned(), value).is_none(),
            "label {name} twice"
        );
        match after[end + 1..].strip_prefix(',') {
            Some(more) => rest = more,
            None => {
                let value = after[end + 1..].strip_prefix('}').expect("labels have an end");
                return (labels, value);
            }
        }
    }
}

fn assert_name(name: &str) {
    assert!(
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':')
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'),
        "metric {name}"
    );
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        _ => {
            let value: f64 = text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"));
            assert!(value.is_finite(), "{text}");
            value
        }
    }
}

#[test]
fn the_reader_is_strict() {
    let good = "# HELP a b\n# TYPE a counter\na{x=\"\\\"\\\\\\n\"} 1\n";
    assert_eq!(
        Exposition::parse(good).value("a", &[("x", "\"\\\n")]),
        1.0,
        "escapes are read"
    );
    for bad in [
        "a 1\n",
        "# TYPE a counter\na 1",
        "# TYPE a counter\na 1\na 1\n",
        "# TYPE a counter\nb 1\n",
        "# TYPE a counter\na{x=1} 1\n",
        "# TYPE a counter\na{x=\"\\t\"} 1\n",
        "# TYPE a counter\n",
        "# TYPE a counter\na 1\n# TYPE b counter\nb 1\n# TYPE a counter\na 2\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n",
    ] {
        assert!(
            std::panic::catch_unwind(|| Exposition::parse(bad)).is_err(),
            "{bad}"
        );
    }
}
