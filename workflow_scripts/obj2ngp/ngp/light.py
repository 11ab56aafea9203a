"""What a pixel shows of several rays.

Pictures hold colours encoded as sRGB (IEC 61966-2-1), and so do fields; what a camera's pixel, or Blender's, gathers
is light. A pixel's straight colour is therefore the encoded mean of the light of its rays, each by its opacity.
"""

import torch

TINY = 1e-6  # opacity below which a ray's straight colour, its colour over black by its opacity, is not to be had


def light_of(value):
    """Light in [0,1] of sRGB values in [0,1]."""
    return torch.where(value < 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def light_slope(value):
    """d light / d value at sRGB values in [0,1]."""
    return torch.where(
        value < 0.04045, torch.full_like(value, 1 / 12.92), 2.4 / 1.055 * ((value + 0.055) / 1.055) ** 1.4
    )


def srgb_of(light):
    """sRGB values in [0,1] of light in [0,1]."""
    return torch.where(light < 0.0031308, light * 12.92, 1.055 * light.clamp_min(TINY) ** (1 / 2.4) - 0.055)


def mean_light(color, opacity):
    """(straight colours of the rays (N,n,3), their light (N,n,3), its mean (N,1,3)) of N pixels of n rays each.

    color (N,n,3) is sRGB over black, opacity (N,n) in [0,1].
    """
    opacity = opacity[..., None]
    straight = (color / opacity.clamp_min(TINY)).clamp(0, 1)
    light = light_of(straight)
    return straight, light, (opacity * light).sum(1, keepdim=True) / opacity.sum(1, keepdim=True).clamp_min(TINY)


def pixels_of(color, opacity):
    """(colour over black (N,3), opacity (N,)) of N pixels of n rays each: color (N,n,3) over black, opacity (N,n)."""
    whole = opacity.mean(1)
    return srgb_of(mean_light(color, opacity)[2][:, 0]) * whole[:, None], whole


def residuals(rays):
    """(N,3): colours of the pixels in use, over the rays' backgrounds, less the targets."""
    color, opacity, background, target = _of_pixels(rays)
    color, opacity = (color[:, 0], opacity[:, 0]) if rays.supersampling == 1 else pixels_of(color, opacity)
    return color + (1 - opacity[:, None]) * background[:, 0] - target[:, 0]


def shown_with_slopes(color, opacity, background):
    """(colour over the background (N,3), its slopes by colour and by opacity of the rays) of N pixels of n rays each.

    color (N,n,3) is over black, opacity (N,n), background (N,n,3), the same for all rays of a pixel. The slopes, both
    (N,n,3), are n times d pixel's colour / d ray's colour over black, and n times that / d ray's opacity, by channel.
    With s_i, l_i and o_i the straight colour, the light and the opacity of ray i, L the pixel's mean light, S its value
    and b the background,

        pixel = S mean(o) + b (1 - mean(o)),    n d pixel / d (o_i s_i) = l'(s_i) / l'(S),
        n d pixel / d o_i = (l_i - s_i l'(s_i) - L) / l'(S) + S - b.
    """
    if color.shape[1] == 1:
        return (color + (1 - opacity[..., None]) * background)[:, 0], torch.ones_like(color), -background
    straight, light, mean = mean_light(color, opacity)
    value, slope = srgb_of(mean), light_slope(straight)
    pixel_slope = light_slope(value)
    pixel = background[:, 0] + (value - background)[:, 0] * opacity.mean(1)[:, None]
    d_opacity = (light - straight * slope - mean) / pixel_slope + value - background
    return pixel, slope / pixel_slope, d_opacity


def ray_gradients(rays, whole, huber, distortion):
    """Writes rays.loss; returns the gradients, of what Backend.composite_loss names, at the rays in use.

    `whole` (N,) tells which of the pixels in use have a loss.
    They are the derivatives by the rays' colours over black (R,3), their opacities (R,), and their distortions (R,).
    """
    active, n = int(rays.active), rays.supersampling**2
    color, opacity, background, target = _of_pixels(rays)
    pixel, color_slope, opacity_slope = shown_with_slopes(color, opacity, background)
    residual = pixel - target[:, 0]
    size = residual.abs()
    loss = torch.where(size < huber, 0.5 * size * size / huber, size - 0.5 * huber).mean(1) * whole
    rays.loss[:active], rays.loss[active:] = loss.repeat_interleave(n), 0
    share = whole.float() / max(active, 1)
    d_pixel = ((residual / huber).clamp(-1, 1) * share[:, None] / 3)[:, None]
    d_color, d_opacity = (d_pixel * color_slope).view(-1, 3), (d_pixel * opacity_slope).sum(2).view(-1)
    return d_color, d_opacity, share.repeat_interleave(n) * distortion


def _of_pixels(rays):
    """Colour over black (N,n,3), opacity (N,n), background and target (N,n,3) of the rays in use, by pixel."""
    active, n = int(rays.active), rays.supersampling**2
    color, background, target = (x[:active].view(-1, n, 3) for x in (rays.color, rays.background, rays.target))
    left = rays.transmittance[:active].view(-1, n)
    return color - left[..., None] * background, 1 - left, background, target
