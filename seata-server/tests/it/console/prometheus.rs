//! A strict reader of Prometheus' text format 0.0.4.

use std::collections::{BTreeMap, HashMap, HashSet};

/// Labels in order, and the value.
pub(crate) type Sample = (BTreeMap<String, String>, f64);

/// Every sample by its name. Panics at the first thing that the format forbids.
pub(crate) fn parse(text: &str) -> HashMap<String, Vec<Sample>> {
    assert!(text.ends_with('\n'), "the last line ends");
    let (mut samples, mut types, mut seen): (HashMap<String, Vec<Sample>>, _, _) =
        (HashMap::new(), HashMap::new(), HashSet::new());
    let mut family = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and a help");
            assert!(!help.is_empty() && is_name(name), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} stands twice");
            family = name.to_owned();
        } else {
            let (name, labels, value) = sample(line);
            assert!(seen.insert(line.rsplit_once(' ').unwrap().0.to_owned()), "{line} stands twice");
            let of_family =
                ["", "_bucket", "_sum", "_count"].iter().any(|suffix| name == format!("{family}{suffix}"));
            assert!(of_family, "{line} stands under {family}");
            if types[&family] == "counter" {
                assert!(value >= 0.0 && name.ends_with("_total"), "{line}");
            }
            samples.entry(name).or_default().push((labels, value));
        }
    }
    for (name, _) in types.iter().filter(|(_, kind)| *kind == "histogram") {
        check_histogram(name, &samples);
    }
    samples
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (name, mut rest) = line.split_at(line.find(['{', ' ']).expect("a value"));
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        let mut inner = inner;
        loop {
            if let Some(tail) = inner.strip_prefix('}') {
                rest = tail;
                break;
            }
            let (key, tail) = inner.split_once("=\"").expect("a label");
            assert!(is_name(key) && !key.contains(':'), "{line}");
            let (value, tail) = quoted(tail);
            assert!(labels.insert(key.to_owned(), value).is_none(), "{key} twice: {line}");
            inner = tail.strip_prefix(',').unwrap_or(tail);
        }
    }
    let value = rest.strip_prefix(' ').expect("one space").parse().expect("a number and nothing else");
    (name.to_owned(), labels, value)
}

fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next().expect("an escape ends").1 {
                'n' => value.push('\n'),
                other @ ('\\' | '"') => value.push(other),
                other => panic!("\\{other} is no escape"),
            },
            other => value.push(other),
        }
    }
    panic!("a label's value does not end: {text}")
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_' || first == ':')
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "_:".contains(character))
}

/// Buckets grow, and the last one is the count.
fn check_histogram(name: &str, samples: &HashMap<String, Vec<Sample>>) {
    for (labels, count) in &samples[&format!("{name}_count")] {
        let mut last = (f64::NEG_INFINITY, 0.0);
        for (bucket, value) in &samples[&format!("{name}_bucket")] {
            let mut rest = bucket.clone();
            let bound: f64 = rest.remove("le").expect("a bound").parse().expect("a number");
            if rest != *labels {
                continue;
            }
            assert!(bound > last.0 && *value >= last.1, "{name} {bucket:?}");
            last = (bound, *value);
        }
        assert_eq!(last, (f64::INFINITY, *count), "{name} {labels:?}");
    }
}
