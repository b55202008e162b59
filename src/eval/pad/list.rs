use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use crate::eval::{
    EvalError, List,
    list::{Table, there},
};

/// A picture or a video of a presentation: `image|video,attack,species,presentation,subject`.
///
/// Rows of one subject, one species and one presentation are one presentation, their frames in the order of the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// A picture, a video (MJPEG or y4m), or a folder of pictures in natural order.
    pub recording: PathBuf,
    /// The species of the attack instrument, such as `print`; `None` for a bona fide presentation.
    pub species: Option<String>,
    /// The name of the presentation: one person coming to the camera once, or one attack held up once.
    pub presentation: String,
    /// Who is shown: the bona fide person, or the one attacked.
    pub subject: String,
}

impl List<Presented> {
    /// Reads a list of presentations: a column `image` or `video` (or both, one of them empty in each row), `attack` (`yes` or `1`,
    /// `no` or `0`), `species` (needed for attacks), `presentation`, `subject`.
    ///
    /// # Errors
    /// [`EvalError::List`] names file, line, column and remedy: columns missing, values of another kind, a recording that stands there
    /// twice.
    pub fn presented(path: &Path) -> Result<Self, EvalError> {
        let mut table = Table::open(path)?;
        let recording = match (table.optional("image")?, table.optional("video")?) {
            (None, None) => [Some(table.column(&["image", "video"])?), None],
            columns => columns.into(),
        };
        let [attack, species] = [table.column(&["attack"])?, table.column(&["species"])?];
        let [presentation, subject] = [table.column(&["presentation"])?, table.column(&["subject"])?];
        let mut seen = HashMap::new();
        table.rows(|row| {
            let mut named =
                recording.into_iter().flatten().map(|column| row.any_text(column)).filter(|text| !text.is_empty());
            let recording: PathBuf = match (named.next(), named.next()) {
                (Some(one), None) => one.into(),
                (None, _) => return row.refuse("image or video is empty; name the picture or the video".to_owned()),
                (Some(_), Some(_)) => {
                    return row
                        .refuse("image and video are both given; leave one empty, a row is one recording".to_owned());
                }
            };
            let is_attack = match row.text(attack)?.to_ascii_lowercase().as_str() {
                "yes" | "1" | "true" => true,
                "no" | "0" | "false" => false,
                other => {
                    return row.refuse(format!(
                        "attack is {other:?}; yes (or 1) or no (or 0, a bona fide presentation) is expected"
                    ));
                }
            };
            let species = match (is_attack, row.any_text(species)) {
                (false, _) => None,
                (true, "") => {
                    return row.refuse("species is empty; name the kind of attack, such as print or screen".to_owned());
                }
                (true, species) => Some(species.to_owned()),
            };
            let [presentation, subject] = [row.text(presentation)?.to_owned(), row.text(subject)?.to_owned()];
            row.once(&mut seen, recording.clone(), "the same recording")?;
            Ok(Presented { recording, species, presentation, subject })
        })
    }
}

/// Checks that every recording of the list is in `root`, a file or a folder, and gives each of them once, sorted.
///
/// # Errors
/// [`EvalError::Missing`] counts those that are not there and names the first few.
pub fn recordings(root: &Path, list: &List<Presented>) -> Result<Vec<PathBuf>, EvalError> {
    there(root, list.rows.iter().map(|row| row.recording.as_path()), Path::exists)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::tempdir;

    use super::*;

    fn presented(text: &str) -> Result<List<Presented>, String> {
        let dir = tempdir().unwrap();
        let path = dir.path().join("pad.csv");
        fs::write(&path, text).unwrap();
        List::presented(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn pictures_and_videos_stand_in_one_list() {
        let list = presented(
            "subject,video,image,attack,species,presentation\nAda,,a.jpg,no,,1\nAda,b.mjpeg,,YES,print,1\nEve,c,,0,none,2\n",
        )
        .unwrap();
        let row = |recording: &str, species: Option<&str>, presentation: &str, subject: &str| Presented {
            recording: recording.into(),
            species: species.map(str::to_owned),
            presentation: presentation.to_owned(),
            subject: subject.to_owned(),
        };
        let expected =
            [row("a.jpg", None, "1", "Ada"), row("b.mjpeg", Some("print"), "1", "Ada"), row("c", None, "2", "Eve")];
        assert_eq!(list.rows, expected);
    }

    #[test]
    fn what_is_no_presentation_is_named_with_line_column_and_remedy() {
        let header = "image,attack,species,presentation,subject\n";
        for (text, expected) in [
            ("attack,species,presentation,subject\n1,a,b,c\n", "line 1: has no column image or video"),
            ("image,species,presentation,subject\na,b,c,d\n", "line 1: has no column attack"),
            ("image,attack,presentation,subject\na,1,c,d\n", "line 1: has no column species"),
            ("image,attack,species,subject\na,1,c,d\n", "line 1: has no column presentation"),
            ("image,attack,species,presentation\na,1,c,d\n", "line 1: has no column subject"),
            (&format!("{header}a.jpg,perhaps,print,1,Ada\n"), "line 2: attack is \"perhaps\"; yes (or 1) or no"),
            (&format!("{header}a.jpg,no,,1,Ada\nb.jpg,,,1,Ada\n"), "line 3: attack is empty"),
            (&format!("{header}a.jpg,yes,,1,Ada\n"), "line 2: species is empty; name the kind of attack"),
            (&format!("{header},yes,print,1,Ada\n"), "line 2: image or video is empty"),
            (&format!("{header}a.jpg,no,,,Ada\n"), "line 2: presentation is empty"),
            (&format!("{header}a.jpg,no,,1,\n"), "line 2: subject is empty"),
            (&format!("{header}a.jpg,no,,1,Ada\na.jpg,no,,2,Ada\n"), "line 3: the same recording stands in line 2"),
            (&format!("{header}a.jpg,no,,1\n"), "line 2: 4 values where the header names 5 columns"),
            (
                "image,video,attack,species,presentation,subject\na,b,1,c,d,e\n",
                "line 2: image and video are both given",
            ),
            (header, "no rows"),
        ] {
            let error = presented(text).unwrap_err();
            assert!(error.contains(expected) && error.contains("pad.csv"), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_recording_may_be_a_folder_and_must_be_there() {
        let dir = tempdir().unwrap();
        fs::create_dir(dir.path().join("clip")).unwrap();
        let list = presented("video,attack,species,presentation,subject\nclip,no,,1,Ada\n").unwrap();
        assert_eq!(recordings(dir.path(), &list).unwrap(), [Path::new("clip")]);
        let list = presented("video,attack,species,presentation,subject\nclap,no,,1,Ada\n").unwrap();
        assert!(recordings(dir.path(), &list).unwrap_err().to_string().contains("clap"));
    }
}
