"""NMNC in PyTorch: reads the pack of golden vectors, answers every stage, writes the answers.

    python port.py PACK ANSWERS [float32|float64]

Written as for a model of one's own: modules, autograd and optimisers, no other library.
"""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

PHI = {"identity": nn.Identity, "relu": nn.ReLU, "tanh": nn.Tanh}
MASK = 0xFFFFFFFF


# Random numbers


def threefry(key, counter):
    """Threefry-2x32 on words in int64; key [2], counter [N]."""
    k0, k1 = key
    keys = (k0, k1, k0 ^ k1 ^ 0x1BD11BDA)
    x0, x1 = keys[0].expand_as(counter), (counter + keys[1]) & MASK
    for group in range(5):
        for rotation in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            x0 = (x0 + x1) & MASK
            x1 = (x1 << rotation | x1 >> 32 - rotation) & MASK ^ x0
        x0 = (x0 + keys[(group + 1) % 3]) & MASK
        x1 = (x1 + keys[(group + 2) % 3] + group + 1) & MASK
    return x0, x1


def words(key, count):
    return threefry(key, torch.arange(count))


def fold_in(key, data):
    return torch.cat(threefry(key, torch.tensor([data])))


def uniform(key, *shape):
    x0, x1 = words(key, math.prod(shape))
    if torch.get_default_dtype() == torch.float32:
        u = (((x0 ^ x1) >> 9).float() + 0.5) * 2.0**-23
    else:
        u = (x0.double() * 2.0**20 + (x1 >> 12).double() + 0.5) * 2.0**-52
    return u.reshape(shape)


def normal(key, *shape):
    first, second = torch.stack(words(key, 2), -1)
    return torch.sqrt(-2 * torch.log(uniform(first, *shape))) * torch.cos(2 * math.pi * uniform(second, *shape))


# Models


class MLP(nn.Sequential):
    """Linear layers with a non-linearity between them."""

    def __init__(self, parameters, activation):
        depth = sum(name.startswith("weight_") for name in parameters)
        super().__init__()
        for l in range(1, depth + 1):
            self.append(linear(parameters[f"weight_{l}"], parameters[f"bias_{l}"]))
            if l < depth:
                self.append(PHI[activation]())

    def tail(self, layer):
        """The modules above the activity x_l."""
        return nn.Sequential(*list(self)[2 * layer :])

    def activities(self, x):
        found = [x]
        for module in self:
            found.append(module(found[-1]))
        return [x, *found[2::2], found[-1]]


def linear(weight, bias):
    layer = nn.utils.skip_init(nn.Linear, *reversed(weight.shape))
    layer.weight.data, layer.bias.data = weight.clone(), bias.clone()
    return layer


class LeakyRNN(nn.Module):
    def __init__(self, given):
        super().__init__()
        self.recurrent = linear(given["weight"], given["bias"])
        self.input = nn.Parameter(given["input_weight"].clone())
        self.read = linear(given["read_weight"], given["read_bias"])
        self.phi, self.leak, self.every = PHI[given["activation"]](), given["leak"], given.get("every", 0)

    def states(self, x, h, start):
        found = [h]
        for x_t in x.unbind(1)[start:]:
            s = self.recurrent(found[-1]) + x_t @ self.input.T
            found.append((1 - self.leak) * found[-1] + self.leak * self.phi(s))
        return found

    def forward(self, x):
        return self.output(self.states(x, x.new_zeros(len(x), self.recurrent.out_features), 0)[1:])

    def output(self, states):
        return torch.cat([self.read(h) for h in (states if self.every else states[-1:])], -1)

    def tail(self, x, step):
        return lambda h: self.output(self.states(x, h, step))


def criterion(output, target, loss):
    if loss == "squared_error":
        return ((output - target) ** 2).sum() / (2 * len(output))
    return F.cross_entropy(output, target)


def per_sample_jacobian(function, x):
    """∂ function(x)_i / ∂ x_i of each sample."""
    return torch.stack([torch.func.jacrev(lambda row: function(row[None])[0])(row) for row in x])


# NMNC


def one_sided(f, x, noise):
    return f(x + noise) - f(x)


def antithetic(f, x, noise):
    return (f(x + noise) - f(x - noise)) / 2


def correlation(response, noise):
    """Mean over draws [K, ..., n_o] and [K, ..., n]."""
    return torch.einsum("k...o,k...n->...on", response, noise) / len(noise)


def least_squares(response, noise, basis=None):
    coordinates = noise if basis is None else noise @ basis
    found = torch.linalg.lstsq(coordinates.movedim(0, -2), response.movedim(0, -2)).solution.mT
    return found if basis is None else found @ basis.T


def frame(z):
    q, r = torch.linalg.qr(z.movedim(0, -1))
    signs = r.diagonal(dim1=-2, dim2=-1).sign()
    return math.sqrt(z.shape[-1]) * (q * signs[..., None, :]).movedim(-1, 0)


def covariance(x, centring):
    x = x if centring == "uncentred" else x - x.mean(0)
    return x / math.sqrt(len(x))


def projector(given):
    x, centring = given["activity"], given["centring"]
    basis = torch.linalg.svd(covariance(x, centring))[2][: given["dimension"]].T
    if centring == "mean-added":
        basis = torch.linalg.qr(torch.cat([basis, x.mean(0)[:, None]], 1))[0]
    return basis @ basis.T


def angles(u, v):
    """From sines where these are small, as cosines of small angles tell little."""
    cosines = torch.linalg.svdvals(u.T @ v)
    sines = torch.linalg.svdvals(v - u @ (u.T @ v)).flip(0)
    return torch.where(cosines**2 > 0.5, sines.clamp(max=1).asin(), cosines.clamp(max=1).acos())


def nearest_neighbours(points):
    points = torch.unique(points, dim=0)
    distances = torch.linalg.vector_norm(points[:, None] - points, dim=-1).sort(-1).values
    return 1 / torch.log(distances[:, 2] / distances[:, 1]).mean()


def descend(given):
    """A step of torch.optim.SGD: the parameter and its momentum buffer."""
    parameter = nn.Parameter(given["parameter"].clone())
    rates = {"lr": given["learning_rate"], "momentum": given["momentum"], "weight_decay": given["decay"]}
    optimiser = torch.optim.SGD([parameter], **rates)
    optimiser.state[parameter]["momentum_buffer"] = given["velocity"].clone()
    parameter.grad = given["gradient"]
    optimiser.step()
    buffer = optimiser.state[parameter].get("momentum_buffer", given["velocity"])
    return parameter, buffer if given["momentum"] else parameter.grad


def trajectory(given, parameters, feedback, learn):
    """Steps first + 1 … last, from the state before them; learn(key) updates feedback and returns all gradients."""
    rates = {"lr": given["learning_rate"], "momentum": given["momentum"], "weight_decay": given["decay"]}
    optimiser = torch.optim.SGD(parameters, **rates)
    buffers = [torch.zeros_like(p) for p in parameters]
    if "state" in given:
        arrays = [*(p.data for p in parameters), *buffers, *feedback]
        for array, part in zip(arrays, given["state"].split([each.numel() for each in arrays]), strict=True):
            array.copy_(part.view_as(array))
    for parameter, buffer in zip(parameters, buffers, strict=True):
        optimiser.state[parameter]["momentum_buffer"] = buffer
    key = given["key"]
    for step in range(given["last"]):
        fresh, key = fold_in(key, 1), fold_in(key, 0)
        if step < given["first"]:
            continue
        for parameter, gradient in zip(parameters, learn(fresh), strict=True):
            parameter.grad = gradient.detach()
        optimiser.step()
    return torch.cat([each.flatten() for each in (*parameters, *buffers, *feedback)])


def estimate(given, key, f, activity, basis):
    """Perturb an activity, along the manifold or isotropically with the same energy, and correlate."""
    (n, d), sigma, isotropic = basis.shape, given["sigma"], given["rule"] == "vnc"
    sigma = sigma * math.sqrt(d / n) if isotropic else sigma
    z = normal(key, given["draws"], len(activity), n if isotropic else d)
    noise = sigma * (z if isotropic else z @ basis.T)
    response = antithetic(f, activity, noise)
    return (correlation(response.flatten(0, 1), noise.flatten(0, 1)) / sigma**2).detach()


def train(given):
    model = MLP(given, "tanh")
    layers = list(model)[::2]
    layerwise = given["route"] == "layerwise"
    above = [layer.out_features for layer in layers[1:]] if layerwise else [layers[-1].out_features] * 2
    feedback = [torch.zeros(n, layer.out_features) for n, layer in zip(above, layers, strict=False)]

    def learn(key):
        activities = model.activities(given["x"])
        for site, matrix in enumerate(feedback):
            tail = layers[site + 1] if layerwise else model.tail(site + 1)
            basis = given[f"basis_{site + 1}"]
            found = estimate(given, fold_in(key, site), tail, activities[site + 1], basis)
            matrix.lerp_(found, given["feedback_rate"])
        error = (activities[-1] - given["target"]) / len(given["x"])
        deltas = [error]
        for site in reversed(range(len(feedback))):
            signal = deltas[0] if layerwise else error
            deltas.insert(0, signal @ feedback[site] * (1 - activities[site + 1] ** 2))
        for delta, below in zip(deltas, activities, strict=False):
            yield from (delta.T @ below, delta.sum(0))

    return trajectory(given, list(model.parameters()), feedback, learn)


def train_convolutional(given):
    """One kernel, then a linear layer."""
    kernel, kernel_bias = (nn.Parameter(given[name].clone()) for name in ("kernel", "kernel_bias"))
    top = linear(given["weight"], given["bias"])
    feedback = [torch.zeros_like(given["weight"])]

    def learn(key):
        s = convolved(given, kernel, given["x"], kernel_bias)
        activity = torch.tanh(s).detach()
        feedback[0].lerp_(estimate(given, fold_in(key, 0), top, activity, given["basis"]), given["feedback_rate"])
        error = ((top(activity) - given["target"]) / len(activity)).detach()
        delta = error @ feedback[0] * (1 - activity**2)
        yield from torch.autograd.grad((delta * s).sum(), (kernel, kernel_bias))
        yield from (error.T @ activity, error.sum(0))

    return trajectory(given, [kernel, kernel_bias, *top.parameters()], feedback, learn)


def train_recurrent(given):
    """One feedback matrix for each lag; the read-out is at every step."""
    model = LeakyRNN(given | {"activation": "tanh"})
    x, leak = given["x"], given["leak"]
    steps, n = x.shape[1], model.recurrent.out_features
    feedback = [torch.zeros_like(given["read_weight"]) for _ in range(steps)]
    recurrent, read = model.recurrent, model.read

    def learn(key):
        states = [h.detach() for h in model.states(x, x.new_zeros(len(x), n), 0)]
        found = [
            estimate(given, fold_in(key, t - 1), model.tail(x, t), states[t], given["basis"]).split(len(read.weight))
            for t in range(1, steps + 1)
        ]
        for lag, matrix in enumerate(feedback):
            matrix.lerp_(torch.stack([each[lag] for each in found[: steps - lag]]).mean(0), given["feedback_rate"])
        errors = ((model.output(states[1:]) - given["target"]) / len(x)).detach().chunk(steps, -1)
        gradients = [0, 0, 0, 0, 0]
        for t in range(1, steps + 1):
            g = sum(errors[t - 1 + lag] @ feedback[lag] for lag in range(steps - t + 1))
            s = recurrent(states[t - 1]) + x[:, t - 1] @ model.input.T
            delta = leak * (1 - torch.tanh(s) ** 2) * g
            error = errors[t - 1]
            own = (delta.T @ states[t - 1], delta.T @ x[:, t - 1], delta.sum(0), error.T @ states[t], error.sum(0))
            gradients = [total + each for total, each in zip(gradients, own, strict=True)]
        return gradients

    parameters = [recurrent.weight, model.input, recurrent.bias, read.weight, read.bias]
    return trajectory(given, parameters, feedback, learn)


# The stages, each a function of the stage's inputs by name


def activation_slope(g):
    s = g["preactivation"].clone().requires_grad_()
    return torch.autograd.grad(PHI[g["activation"]]()(s).sum(), s)[0]


def output_error(g):
    y = g["output"].clone().requires_grad_()
    return torch.autograd.grad(criterion(y, g["target"], g["loss"]), y)[0]


def network_gradient(g):
    model = MLP(g, g["activation"])
    criterion(model(g["x"]), g["target"], g["loss"]).backward()
    return model[2 * (g["layer"] - 1)].weight.grad


def network_jacobian(g):
    model = MLP(g, g["activation"])
    return per_sample_jacobian(model.tail(g["layer"]), model.activities(g["x"])[g["layer"]])


def injected(g):
    x, start = g["x"], 0
    for index, module in enumerate(MLP(g, g["activation"])):
        x = module(x)
        if index % 2:
            x = x + g["offset"][..., start : start + x.shape[-1]]
            start += x.shape[-1]
    return x


def tail(g):
    return MLP(g, g["activation"]).tail(g["layer"])


def estimated(g):
    d, x = g["basis"].shape[1], g["activity"]
    z = torch.stack([normal(fold_in(g["key"], k), len(x), d) for k in range(g["draws"])])
    noise = g["sigma"] * z @ g["basis"].T
    return correlation(antithetic(tail(g), x, noise), noise) / g["sigma"] ** 2


def delivered(g):
    equation = "bo,on->bn" if g["feedback"].ndim == 2 else "bo,bon->bn"
    return torch.einsum(equation, g["signal"], g["feedback"])


def aligned(g, axes):
    inside = (g["jacobian"] @ g["basis"]).square().sum(axes)
    return inside / g["jacobian"].square().sum(axes)


def image(flat, g):
    return flat.view(len(flat), -1, g["height"], g["width"])


def convolved(g, weight, x, bias=None):
    """Average, then convolve."""
    pooled = F.avg_pool2d(image(x, g), g["pool"])
    return F.conv2d(pooled, weight, bias, g["stride"], g["padding"]).flatten(1)


def convolution_gradient(g, delta, x, of):
    """The gradient of ⟨delta, convolution⟩ by autograd, of its weight or of what it convolves."""
    leaves = {"weight": g["weight"].clone().requires_grad_(), "x": x.clone().requires_grad_()}
    return torch.autograd.grad((delta * convolved(g, **leaves)).sum(), leaves[of])[0]


def convolution_below(g):
    return convolution_gradient(g, g["delta"], torch.zeros(len(g["delta"]), pixels(g)), "x")


def pixels(g):
    return g["weight"].shape[1] * g["height"] * g["width"]


def convolution_mirror(g):
    places = g["response"].shape[1] // len(g["weight"])
    gradient = convolution_gradient(g, g["response"], g["noise"], "weight")
    return gradient / (len(g["noise"]) * places * g["sigma"] ** 2)


def recurrent_state(g):
    model = LeakyRNN(g)
    return model.states(g["x"], torch.zeros(len(g["x"]), len(g["weight"])), 0)[g["step"]]


def recurrent_jacobian(g):
    state, model = recurrent_state(g), LeakyRNN(g)
    pairs = zip(g["x"], state, strict=True)
    return torch.stack(
        [torch.func.jacrev(lambda h, x=x: model.tail(x[None], g["step"])(h[None])[0])(h) for x, h in pairs]
    )


def recurrent_gradient(g):
    model = LeakyRNN(g)
    criterion(model(g["x"]), g["target"], g["loss"]).backward()
    return model.recurrent.weight.grad


def lagged(g):
    errors = g["signal"].chunk(3, -1) if g["every"] else [None, None, g["signal"]]
    lags = range(3 - g["step"] + 1)
    parts = [(errors[g["step"] - 1 + lag], g[f"feedback_{lag}"]) for lag in lags]
    return sum(error @ matrix for error, matrix in parts if error is not None)


OPERATIONS = {
    "bits": lambda g: torch.bitwise_xor(*words(g["key"], g["draws"])),
    "split_keys": lambda g: torch.stack(words(g["key"], g["number"]), -1),
    "folded_key": lambda g: fold_in(g["key"], g["data"]),
    "uniform": lambda g: uniform(g["key"], g["draws"]),
    "signs": lambda g: 1.0 - 2 * (torch.bitwise_xor(*words(g["key"], g["draws"])) >> 31),
    "normal": lambda g: normal(g["key"], g["draws"]),
    "preactivation": lambda g: linear(g["weight"], g["bias"])(g["activity"]),
    "activity": lambda g: PHI[g["activation"]]()(g["preactivation"]),
    "slope": activation_slope,
    "loss_value": lambda g: criterion(g["output"], g["target"], g["loss"]),
    "error": output_error,
    "tail_output": lambda g: tail(g)(g["activity"]),
    "injected_output": injected,
    "jacobian": network_jacobian,
    "loss_gradient": network_gradient,
    "spectrum": lambda g: torch.linalg.svdvals(covariance(g["activity"], g["centring"])).square(),
    "manifold_projector": projector,
    "projected_jacobian": lambda g: g["jacobian"] @ g["basis"] @ g["basis"].T,
    "alignment": lambda g: aligned(g, (-2, -1)),
    "pooled_alignment": lambda g: aligned(g, None),
    "principal_angles": lambda g: angles(g["basis"], g["other_basis"]),
    "participation_ratio": lambda g: g["spectrum"].sum() ** 2 / g["spectrum"].square().sum(),
    "explained_dimension": lambda g: 1 + (g["spectrum"].cumsum(0) / g["spectrum"].sum() < g["explained"]).sum(),
    "two_nearest_neighbours": lambda g: nearest_neighbours(g["points"]),
    "isotropic_noise": lambda g: g["sigma"] * g["coefficients"],
    "manifold_noise": lambda g: g["sigma"] * g["coefficients"] @ g["basis"].T,
    "covariance_noise": lambda g: g["coefficients"] @ g["factor"].T,
    "fixed_norm": lambda g: math.sqrt(g["coefficients"].shape[-1]) * F.normalize(g["coefficients"], dim=-1),
    "orthonormal_frame": lambda g: frame(g["coefficients"]),
    "matched_sigma": lambda g: torch.tensor(g["sigma"] * math.sqrt(g["dimension"] / g["width"])),
    "one_sided_response": lambda g: one_sided(tail(g), g["activity"], g["noise"]),
    "antithetic_response": lambda g: antithetic(tail(g), g["activity"], g["noise"]),
    "mirror_response": lambda g: antithetic(linear(g["weight"], g["bias"]), g["activity"], g["noise"]),
    "unnormalised_correlation": lambda g: correlation(g["response"], g["noise"]),
    "correlation": lambda g: correlation(g["response"], g["noise"]) / g["sigma"] ** 2,
    "batch_correlation": lambda g: correlation(g["response"], g["noise"]).mean(0) / g["sigma"] ** 2,
    "least_squares": lambda g: least_squares(g["response"], g["noise"], g.get("basis")),
    "shrunk_estimate": lambda g: g["scaling"] * g["estimate"],
    "estimated_jacobian": estimated,
    "running_average": lambda g: torch.lerp(g["feedback"], g["estimate"], g["rate"]),
    "activity_gradient": delivered,
    "delta": lambda g: g["slope"] * delivered(g),
    "weight_gradient": lambda g: g["delta"].T @ g["activity"],
    "bias_gradient": lambda g: g["delta"].sum(0),
    "velocity": lambda g: descend(g)[1],
    "parameter": lambda g: descend(g)[0],
    "training_state": train,
    "convolutional_training_state": train_convolutional,
    "recurrent_training_state": train_recurrent,
    "convolution_preactivation": lambda g: convolved(g, g["weight"], g["activity"], g["bias"]),
    "convolution_activity_gradient": convolution_below,
    "convolution_weight_gradient": lambda g: convolution_gradient(g, g["delta"], g["activity"], "weight"),
    "convolution_bias_gradient": lambda g: g["delta"].view(len(g["delta"]), len(g["weight"]), -1).sum((0, 2)),
    "convolution_mirror": convolution_mirror,
    "recurrent_activity": recurrent_state,
    "recurrent_tail_output": lambda g: LeakyRNN(g).tail(g["x"], g["step"])(g["activity"]),
    "recurrent_jacobian": recurrent_jacobian,
    "recurrent_loss_gradient": recurrent_gradient,
    "recurrent_activity_gradient": lagged,
    "recurrent_delta": lambda g: g["leak"] * activation_slope(g) * g["gradient"],
}


def read(array):
    kind = torch.get_default_dtype() if array["dtype"].startswith("float") else torch.int64
    return torch.tensor(array["data"], dtype=kind).reshape(array["shape"])


def written(tensor):
    dtype = str(tensor.dtype).removeprefix("torch.") if tensor.is_floating_point() else "uint32"
    return {"shape": list(tensor.shape), "dtype": dtype, "order": "C", "data": tensor.flatten().tolist()}


def main(pack, answers, dtype="float64"):
    torch.set_default_dtype(getattr(torch, dtype))
    Path(answers).mkdir(parents=True, exist_ok=True)
    for file in json.loads(Path(pack, "manifest.json").read_text())["files"]:
        case = json.loads(Path(pack, file).read_text())
        if case.get("precision") not in ("any", dtype):
            continue
        known = {name: read(array) for name, array in case["inputs"].items()}
        stages = []
        for stage in case["stages"]:
            given = {name: known[source] for name, source in stage["inputs"].items()} | stage["parameters"]
            known[stage["name"]] = answer = OPERATIONS[stage["operation"]](given).detach()
            stages.append({"name": stage["name"], "value": written(answer)})
        Path(answers, file).write_text(json.dumps({"name": case["name"], "stages": stages}))


if __name__ == "__main__":
    main(*sys.argv[1:])
