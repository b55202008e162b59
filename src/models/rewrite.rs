use super::{Catalogue, Comparison, ModelsError, OperatingPoint};

/// The catalogue `text` with `points` instead of the operating points of the model called `id`.
///
/// Every other byte stays, comments too; only what stands between the keys of the old points goes with them. Points that
/// stand there already give the same text again.
///
/// # Errors
/// As [`Catalogue::parse`]; [`ModelsError::Unknown`] without such a model; [`ModelsError::Card`] when the points are not possible, or the
/// text is written in a way in which they cannot be found.
pub fn with_operating_points(text: &str, id: &str, points: &[OperatingPoint]) -> Result<String, ModelsError> {
    let before = Catalogue::parse(text)?;
    before.get(id)?;
    let refuse = |reason: &str| ModelsError::Card {
        model: id.to_owned(),
        key: "operating_point".to_owned(),
        reason: reason.to_owned(),
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let card = lines_of_card(&lines, id)
        .ok_or_else(|| refuse("its card is not written as a [[model]] table with a line id = \"...\""))?;
    let blocks = blocks_of_points(&lines[card.clone()]);
    let content =
        card.start + lines[card.clone()].iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    let insert_at = blocks.first().map_or(content, |block| card.start + block.start);

    let mut written = String::with_capacity(text.len());
    for (at, line) in lines.iter().enumerate() {
        if at == insert_at {
            insert(&mut written, points);
        }
        if !blocks.iter().any(|block| block.contains(&at.wrapping_sub(card.start))) {
            written.push_str(line);
        }
    }
    if insert_at == lines.len() {
        insert(&mut written, points);
    }

    // Whatever the text looked like: what comes out is the same catalogue with these points, or nothing comes out.
    let unclear = || refuse("it cannot be told where they stand in this text; write them by hand");
    let after = Catalogue::parse(&written).map_err(|e| match e {
        ModelsError::Catalogue { .. } => unclear(),
        e => e,
    })?;
    let mut expected = before.models().to_vec();
    if let Some(card) = expected.iter_mut().find(|card| card.id == id) {
        card.operating_points = points.to_vec();
    }
    match after.models() == expected {
        true => Ok(written),
        false => Err(unclear()),
    }
}

/// Points go after an empty line, the first block's first line stays where it was.
fn insert(written: &mut String, points: &[OperatingPoint]) {
    if !written.is_empty() && !written.ends_with('\n') {
        written.push('\n');
    }
    if !points.is_empty() && !written.is_empty() && !written.ends_with("\n\n") {
        written.push('\n');
    }
    written.push_str(&points.iter().map(render).collect::<Vec<_>>().join("\n"));
}

/// The lines from the model's `[[model]]` to before the next one.
fn lines_of_card(lines: &[&str], id: &str) -> Option<std::ops::Range<usize>> {
    let starts: Vec<usize> = (0..lines.len()).filter(|at| header(lines[*at]) == Some("[[model]]")).collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).find(|card| {
        let own = lines[card.start + 1..card.end].iter().take_while(|line| header(line).is_none());
        own.into_iter().any(|line| {
            let value = line.trim().strip_prefix("id").and_then(|rest| rest.trim_start().strip_prefix('='));
            value.is_some_and(|value| value.trim_start().starts_with(&format!("\"{id}\"")))
        })
    })
}

/// The runs of operating points in a card: each from its first header to its last key.
fn blocks_of_points(card: &[&str]) -> Vec<std::ops::Range<usize>> {
    let mut blocks: Vec<std::ops::Range<usize>> = Vec::new();
    let mut inside = false;
    for (at, line) in card.iter().enumerate() {
        if let Some(header) = header(line) {
            let began = !inside;
            inside = header == "[[model.operating_point]]";
            if inside && began {
                blocks.push(at..at + 1);
            }
        }
        let says_something = !line.trim().is_empty() && !line.trim_start().starts_with('#');
        if let Some(block) = blocks.last_mut().filter(|_| inside && says_something) {
            block.end = at + 1;
        }
    }
    blocks
}

/// The header of a table, such as `[[model]]`.
fn header(line: &str) -> Option<&str> {
    let text = line.split('#').next().unwrap_or_default().trim();
    let name = text.trim_matches(['[', ']']);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-\"".contains(c));
    (text.starts_with('[') && text.ends_with(']') && is_name).then_some(text)
}

/// A point as people read it.
fn render(point: &OperatingPoint) -> String {
    let OperatingPoint { name, kind, threshold, gallery_size, data, note, .. } = point;
    let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let kind = match kind {
        Comparison::OneToMany => "one-to-many",
        Comparison::OneToOne => "one-to-one",
    };
    let mut lines = format!("[[model.operating_point]]\nname = {}\nkind = \"{kind}\"\n", text(name));
    lines += &format!("threshold = {threshold:?}\n");
    for (key, rate, interval) in [
        ("fpir", point.fpir, point.fpir_interval),
        ("fnir", point.fnir, point.fnir_interval),
        ("fmr", point.fmr, point.fmr_interval),
        ("fnmr", point.fnmr, point.fnmr_interval),
    ] {
        lines += &rate.map(|rate| format!("{key} = {rate:?}\n")).unwrap_or_default();
        lines += &interval.map(|[low, high]| format!("{key}_interval = [{low:?}, {high:?}]\n")).unwrap_or_default();
    }
    lines += &gallery_size.map(|size| format!("gallery_size = {size}\n")).unwrap_or_default();
    lines += &format!("data = {}\n", text(data));
    lines + &note.as_deref().map(|note| format!("note = {}\n", text(note))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOGUE: &str = include_str!("../../models/catalogue.toml");
    const ID: &str = "mobilefacenet-arcface-192";

    fn point(name: &str, gallery_size: u32) -> OperatingPoint {
        OperatingPoint {
            name: name.to_owned(),
            kind: Comparison::OneToMany,
            threshold: 0.5,
            fpir: Some(0.01),
            fpir_interval: Some([0.008, 0.0125]),
            fnir: Some(0.0),
            fnir_interval: Some([0.0, 0.25]),
            fmr: None,
            fmr_interval: None,
            fnmr: None,
            fnmr_interval: None,
            gallery_size: Some(gallery_size),
            data: "a \"quoted\" word".to_owned(),
            note: Some("half of it".to_owned()),
        }
    }

    #[test]
    fn only_the_points_of_one_model_change() {
        let points = [point("fpir-0.01", 10), point("fpir-0.01", 100)];
        let written = with_operating_points(CATALOGUE, ID, &points).unwrap();
        let (start, _) = CATALOGUE.split_once("[[model.operating_point]]").unwrap();
        let rest = "\n[[model]]\n";
        let (_, end) = CATALOGUE[start.len()..].split_once(rest).unwrap();
        assert!(written.starts_with(start) && written.ends_with(end));
        let block = "[[model.operating_point]]
name = \"fpir-0.01\"
kind = \"one-to-many\"
threshold = 0.5
fpir = 0.01
fpir_interval = [0.008, 0.0125]
fnir = 0.0
fnir_interval = [0.0, 0.25]
gallery_size = 10
data = 'a \"quoted\" word'
note = \"half of it\"
";
        let second = block.replace("gallery_size = 10", "gallery_size = 100");
        assert_eq!(written[start.len()..written.len() - end.len()], format!("{block}\n{second}{rest}"));
        assert_eq!(with_operating_points(&written, ID, &points).unwrap(), written, "again is the same");
    }

    #[test]
    fn comments_elsewhere_stay_and_a_card_without_points_gets_some() {
        let (head, _) = CATALOGUE.split_once("[[model.operating_point]]").unwrap();
        let text = format!("{}\n\n# the end", head.trim_end());
        let written = with_operating_points(&text, ID, &[point("fpir-0.01", 10)]).unwrap();
        assert!(written.contains("# the end\n\n[[model.operating_point]]"), "{}", &written[head.len() - 80..]);
        let gone = with_operating_points(&written, ID, &[]).unwrap();
        assert_eq!(gone.trim_end(), text);
    }

    #[test]
    fn what_cannot_be_is_refused_and_nothing_is_written() {
        let twice = with_operating_points(CATALOGUE, ID, &[point("fpir-0.01", 10), point("fpir-0.01", 10)]);
        assert!(twice.unwrap_err().to_string().contains("twice"));
        let unknown = with_operating_points(CATALOGUE, "arcface", &[]).unwrap_err();
        assert!(matches!(unknown, ModelsError::Unknown { .. }));
        let detector = with_operating_points(CATALOGUE, "yunet-2023mar", &[point("fpir-0.01", 10)]).unwrap_err();
        assert!(detector.to_string().contains("only a recogniser"), "{detector}");
        let inside = CATALOGUE.replacen(
            "title = \"MobileFaceNet, 192-d, ArcFace lineage\"",
            "title = \"\"\"\n[[model.operating_point]]\nname\"\"\"",
            1,
        );
        let error = with_operating_points(&inside, ID, &[point("fpir-0.01", 10)]).unwrap_err().to_string();
        assert!(error.contains(ID), "{error}");
    }
}
