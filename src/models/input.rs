//! From a picture to a model's input tensor, as the model's card says.

use serde::{Deserialize, Serialize};

use super::ModelsError;
use crate::nn::{Graph, PixelTable, Profile, Tensor};

/// How a model wants its picture.
///
/// Each value of the tensor is `(pixel - mean) * scale`, the pixel being 0 to 255.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// The tensor's shape; batch 1, the axes in the order of `layout`. For a resizable model, the size it was published for.
    pub shape: [usize; 4],
    /// The order of the axes.
    pub layout: Layout,
    /// The order of the colour channels.
    pub colour: Colour,
    /// Subtracted from the pixel, one value a channel in the model's own channel order.
    pub mean: Vec<f32>,
    /// Multiplied with the difference.
    pub scale: f32,
    /// Which part of the frame the model takes.
    pub alignment: Alignment,
    /// Of [`Alignment::FaceSquare`], and of no other: the side of the square in heights of the face's box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub box_scale: Option<f32>,
    /// Absent when the model takes `shape` only; otherwise width and height may be any multiple of this, in px.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_step_px: Option<usize>,
}

/// The order of a tensor's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// Batch, channel, row, column: a plane a channel.
    #[serde(rename = "NCHW")]
    Nchw,
    /// Batch, row, column, channel: the channels of a pixel side by side.
    #[serde(rename = "NHWC")]
    Nhwc,
}

/// The order of a picture's colour channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Colour {
    /// Red, green, blue.
    #[serde(rename = "RGB")]
    Rgb,
    /// Blue, green, red, as OpenCV keeps pictures.
    #[serde(rename = "BGR")]
    Bgr,
    /// One channel: luma by ITU-R BT.601, rounded to a whole number.
    #[serde(rename = "GREY")]
    Grey,
}

impl Colour {
    /// How many channels there are.
    pub fn channels(self) -> usize {
        match self {
            Colour::Rgb | Colour::Bgr => 3,
            Colour::Grey => 1,
        }
    }
}

/// Which part of a frame a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alignment {
    /// The whole frame.
    Frame,
    /// The detector's face box, stretched to the input's size.
    FaceBox,
    /// A square around the middle of the face's box, whose side is the box's height times `box_scale`, moved or shrunk until it lies
    /// in the picture.
    FaceSquare,
    /// 112x112 px, warped so that eyes, nose tip and mouth corners lie on the five-point template of ArcFace (Deng et al., CVPR 2019).
    #[serde(rename = "arcface-112")]
    Arcface112,
}

impl InputSpec {
    /// The width of the input in px.
    pub fn width(&self) -> usize {
        match self.layout {
            Layout::Nchw => self.shape[3],
            Layout::Nhwc => self.shape[2],
        }
    }

    /// The height of the input in px.
    pub fn height(&self) -> usize {
        match self.layout {
            Layout::Nchw => self.shape[2],
            Layout::Nhwc => self.shape[1],
        }
    }

    /// The number of channels by the shape.
    pub fn channels(&self) -> usize {
        match self.layout {
            Layout::Nchw => self.shape[1],
            Layout::Nhwc => self.shape[3],
        }
    }

    /// The shape of the tensor for a picture of `width` x `height` px.
    pub fn shape_for(&self, width: usize, height: usize) -> [usize; 4] {
        match self.layout {
            Layout::Nchw => [1, self.channels(), height, width],
            Layout::Nhwc => [1, height, width, self.channels()],
        }
    }

    /// How a graph takes red, green, blue pictures as they are (`nn::Graph::run_pixels`); `None` for a model of another layout
    /// or of grey pictures, which [`fill`](InputSpec::fill) feeds.
    pub fn pixel_table(&self) -> Option<PixelTable> {
        if self.layout != Layout::Nchw || self.colour == Colour::Grey {
            return None;
        }
        let bytes = [0, 1, 2].map(|channel| source_channel(self.colour, channel));
        Some(PixelTable::new(&bytes, |channel, pixel| self.normalise(pixel, channel)))
    }

    /// Runs a graph of this input on a picture, as it is where the graph takes pictures ([`pixel_table`](InputSpec::pixel_table)),
    /// else by [`fill`](InputSpec::fill). With a `profile`, the time of every operator is added to it.
    ///
    /// # Errors
    /// As [`to_tensor`](InputSpec::to_tensor), and when the graph fails.
    pub fn infer(
        &self,
        graph: &mut Graph,
        rgb: &[u8],
        (width, height): (usize, usize),
        profile: Option<&mut Profile>,
    ) -> Result<Vec<Tensor>, ModelsError> {
        if graph.takes_pixels() {
            self.check(rgb, width, height, graph.input_shape().iter().product())?;
            return Ok(match profile {
                None => graph.run_pixels(rgb)?,
                Some(profile) => graph.run_pixels_profiled(rgb, profile)?,
            });
        }
        let mut filled = Ok(());
        let fill = |values: &mut [f32]| filled = self.fill(rgb, width, height, values);
        let outputs = match profile {
            None => graph.run_with(fill)?,
            Some(profile) => graph.run_profiled(fill, profile)?,
        };
        filled.map(|()| outputs)
    }

    /// Turns a picture into the model's input.
    ///
    /// `rgb` holds `height` rows of `width` pixels of three bytes (red, green, blue).
    ///
    /// # Errors
    /// [`ModelsError::Picture`] when the model does not take this size or the bytes are not as many as the size says.
    pub fn to_tensor(&self, rgb: &[u8], width: usize, height: usize) -> Result<Tensor, ModelsError> {
        let mut tensor = Tensor::zeros(&self.shape_for(width, height));
        self.fill(rgb, width, height, tensor.data_mut())?;
        Ok(tensor)
    }

    /// Writes the model's input for a picture into `values`, such as a graph's own buffer (`nn::Graph::run_with`).
    ///
    /// # Errors
    /// As [`to_tensor`](InputSpec::to_tensor), and when `values` has not the length of the tensor.
    pub fn fill(&self, rgb: &[u8], width: usize, height: usize, values: &mut [f32]) -> Result<(), ModelsError> {
        self.check(rgb, width, height, values.len())?;
        let pixels = || rgb.as_chunks::<3>().0.iter();
        match (self.colour, self.layout) {
            (Colour::Grey, _) => {
                for (value, &pixel) in values.iter_mut().zip(pixels()) {
                    *value = self.normalise(luma(pixel), 0);
                }
            }
            (colour, Layout::Nchw) => {
                for (channel, plane) in values.chunks_exact_mut(width * height).enumerate() {
                    let source = source_channel(colour, channel);
                    for (value, pixel) in plane.iter_mut().zip(pixels()) {
                        *value = self.normalise(pixel[source], channel);
                    }
                }
            }
            (colour, Layout::Nhwc) => {
                for (value, pixel) in values.as_chunks_mut::<3>().0.iter_mut().zip(pixels()) {
                    for (channel, value) in value.iter_mut().enumerate() {
                        *value = self.normalise(pixel[source_channel(colour, channel)], channel);
                    }
                }
            }
        }
        Ok(())
    }

    fn normalise(&self, pixel: u8, channel: usize) -> f32 {
        (f32::from(pixel) - self.mean[channel]) * self.scale
    }

    fn check(&self, rgb: &[u8], width: usize, height: usize, values: usize) -> Result<(), ModelsError> {
        let refuse = |reason| Err(ModelsError::Picture { width, height, bytes: rgb.len(), reason });
        match self.size_step_px {
            None if (width, height) != (self.width(), self.height()) => {
                return refuse(format!("it takes {}x{} px only", self.width(), self.height()));
            }
            Some(step) if width == 0 || height == 0 || !width.is_multiple_of(step) || !height.is_multiple_of(step) => {
                return refuse(format!("width and height must be multiples of {step} px"));
            }
            _ => {}
        }
        if width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3)) != Some(rgb.len()) {
            return refuse("three bytes a pixel are expected".to_owned());
        }
        if values != width * height * self.channels() {
            return refuse(format!("the tensor holds {values} values"));
        }
        Ok(())
    }
}

/// Which byte of an RGB pixel is the model's `channel`.
fn source_channel(colour: Colour, channel: usize) -> usize {
    match colour {
        Colour::Bgr => 2 - channel,
        Colour::Rgb | Colour::Grey => channel,
    }
}

/// ITU-R BT.601 luma in 16-bit fixed point, rounded; the weights add up to 65,536.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + 32_768;
    (sum >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(layout: Layout, colour: Colour) -> InputSpec {
        let channels = colour.channels();
        let shape = match layout {
            Layout::Nchw => [1, channels, 1, 2],
            Layout::Nhwc => [1, 1, 2, channels],
        };
        let mean = (0..channels).map(|c| 10.0 * c as f32).collect();
        InputSpec {
            shape,
            layout,
            colour,
            mean,
            scale: 0.5,
            alignment: Alignment::Frame,
            box_scale: None,
            size_step_px: None,
        }
    }

    const TWO_PIXELS: [u8; 6] = [10, 20, 30, 40, 50, 60];

    #[test]
    fn channel_order_mean_and_scale_are_applied() {
        let values = |layout, colour| spec(layout, colour).to_tensor(&TWO_PIXELS, 2, 1).unwrap().into_data();
        assert_eq!(values(Layout::Nchw, Colour::Rgb), [5.0, 20.0, 5.0, 20.0, 5.0, 20.0]);
        assert_eq!(values(Layout::Nchw, Colour::Bgr), [15.0, 30.0, 5.0, 20.0, -5.0, 10.0]);
        assert_eq!(values(Layout::Nhwc, Colour::Rgb), [5.0, 5.0, 5.0, 20.0, 20.0, 20.0]);
        assert_eq!(values(Layout::Nhwc, Colour::Bgr), [15.0, 5.0, -5.0, 30.0, 20.0, 10.0]);
    }

    #[test]
    fn grey_is_rounded_luma() {
        let tensor = spec(Layout::Nchw, Colour::Grey).to_tensor(&[255, 255, 255, 10, 20, 30], 2, 1).unwrap();
        assert_eq!(tensor.shape(), [1, 1, 1, 2]);
        assert_eq!(tensor.data(), [127.5, 9.0]); // 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
    }

    #[test]
    fn a_picture_of_another_size_is_refused() {
        let fixed = spec(Layout::Nchw, Colour::Rgb);
        assert!(fixed.to_tensor(&[0; 18], 3, 2).unwrap_err().to_string().contains("2x1 px only"));
        assert!(fixed.to_tensor(&[0; 5], 2, 1).unwrap_err().to_string().contains("three bytes a pixel"));

        let resizable = InputSpec { size_step_px: Some(32), ..fixed };
        assert_eq!(resizable.to_tensor(&[0; 64 * 32 * 3], 64, 32).unwrap().shape(), [1, 3, 32, 64]);
        assert!(resizable.to_tensor(&[0; 3], 1, 1).unwrap_err().to_string().contains("multiples of 32"));
        assert!(resizable.to_tensor(&[], 0, 32).is_err());
        assert!(resizable.fill(&[0; 32 * 32 * 3], 32, 32, &mut [0.0; 7]).is_err());
    }
}
