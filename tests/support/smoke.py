"""A smoke scale that takes seconds."""

SMOKE = """\
note: For the test of the workflow.
comparable: false
seeds: [0, 1]
seeds_of: {}
epochs: {1: 1, 10: 1, 20: 2, 40: 2, 80: 2, 100: 2, 120: 2, 160: 3}
draw_epochs: [1, 20, 160]
recipe: {epochs: 3, batch_size: 20, lr: 0.1, milestones: [2], l1: 0.0001, augment: none}
retrain_recipe: {epochs: 1, milestones: []}
precision: fp32
datasets:
  cifar10: {name: digits, train_size: 60, test_size: 40}
  cifar100: {name: digits100, train_size: 100, test_size: 100}
  mnist: {name: digits}
  imagenet: {name: folders}
models:
  vgg16: {name: vgg16, width: 0.0625}
  preresnet101: {name: preresnet20, width: 0.125}
""" + "".join(
    f"  {name}: {{name: {name}, width: 0.125}}\n"
    for name in (
        "resnet18",
        "resnet50",
        "mobilenet",
        "lenet300",
        "conv2",
        "conv4",
        "conv6",
        "vgg19",
        "preresnet20",
        "wideresnet22x2",
        "resnet20",
        "supernet",
    )
)
