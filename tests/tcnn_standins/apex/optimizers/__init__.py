"""Stand-in for `apex.optimizers`."""

import checked
import torch


class FusedAdam(torch.optim.Optimizer):
    """Adam whose step count is the group's, as apex has it; `adam_w_mode` decouples the weight decay."""

    def __init__(
        self,
        params,
        lr=1e-3,
        bias_correction=True,
        betas=(0.9, 0.999),
        eps=1e-8,
        adam_w_mode=True,
        weight_decay=0.0,
        amsgrad=False,
        set_grad_none=True,
    ):
        if amsgrad:
            raise RuntimeError("FusedAdam does not support the AMSGrad variant.")
        defaults = {
            "lr": lr,
            "bias_correction": bias_correction,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)
        self.adam_w_mode = adam_w_mode

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            group["step"] = group.get("step", 0) + 1
            for name in ("lr", "eps", "weight_decay"):
                checked.number(name, group[name], float)
            checked.number("step", group["step"], int)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter, group):
        state = self.state[parameter]
        if not state:
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        gradient = parameter.grad
        for name, value in (
            ("parameter", parameter),
            ("gradient", gradient),
            ("exp_avg", state["exp_avg"]),
            ("exp_avg_sq", state["exp_avg_sq"]),
        ):
            checked.tensor(name, value, parameter.shape, torch.float32)
        (beta1, beta2), decay, rate, step = group["betas"], group["weight_decay"], group["lr"], group["step"]
        if not self.adam_w_mode:
            gradient = gradient + decay * parameter
        first = state["exp_avg"].mul_(beta1).add_(gradient, alpha=1 - beta1)
        second = state["exp_avg_sq"].mul_(beta2).add_(gradient * gradient, alpha=1 - beta2)
        correct = [1 - beta**step if group["bias_correction"] else 1.0 for beta in group["betas"]]
        update = (first / correct[0]) / ((second / correct[1]).sqrt() + group["eps"])
        if self.adam_w_mode:
            update = update + decay * parameter
        parameter.sub_(rate * update)
